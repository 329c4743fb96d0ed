"""Draws: which addresses, weights, backends and faults a student's exercise has.

    course secret  --HMAC-->  key of a student  --HMAC-->  seed of an exercise  -->  draw

The secret stands in the instructor's course root and never enters a guest. A grading session's guest has the
student's key in its environment; where there is none (a learner's own notebook) the key comes from the
student's name alone.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_VARIABLE = "LABKIT_DRAW_KEY"
STUDENT_VARIABLE = "LABKIT_STUDENT"
HUB_VARIABLE = "JUPYTERHUB_USER"
NOBODY = "somebody"
OPEN_SECRET = b"labkit: learning, not grading"


def student_key(secret: bytes, student: str) -> str:
    """Return the key of a student's draws (hex): all that a guest is ever told of the secret."""
    return _hmac(secret, f"student:{student}")


def draw_seed(key: str, exercise: str) -> str:
    """Return the seed (hex) of the draw that the owner of `key` gets in an exercise."""
    return _hmac(bytes.fromhex(key), f"exercise:{exercise}")


def draw_random(seed: str, case: int = 0) -> Random:
    """Return the source of random numbers for one case of a draw."""
    return Random(f"{seed}/{case}")


def learner_name(environment: Mapping[str, str] = os.environ) -> str:
    """Return who learns here: LABKIT_STUDENT, JupyterHub's user, or `somebody`."""
    return environment.get(STUDENT_VARIABLE) or environment.get(HUB_VARIABLE) or NOBODY


def key_here(environment: Mapping[str, str] = os.environ) -> str:
    """Return the key of this process: that of its grading session, else the learner's own."""
    return environment.get(KEY_VARIABLE) or student_key(OPEN_SECRET, learner_name(environment))


def _hmac(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
