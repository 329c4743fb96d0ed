"""08-lost-calls: which share of calls is lost while one of n pods is dead, for turns and for dice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.grade.exercise import Exercise, Variable
from labkit.grade.exercises import clusters
from labkit.grade.expect import chance_range
from labkit.grade.mark import Finding
from labkit.lab import Lab
from labkit.spec.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from labkit.grade.exercise import Given

NAME = "08-lost-calls"
CALLS = 420  # so many that two to seven pods each get the same number of turns
MOST = 4.0
NAMES = {"rr": "turns", "iptables": "dice"}
CLOSE = 0.005  # the share as a number, whatever it was measured at


def plan_draw(random: Random) -> Given:
    """Return four situations: turns and dice, without and with further tries, two to seven pods."""
    return {
        "situations": [
            {
                "algorithm": algorithm,
                "pods": random.randint(2, 7),
                "retries": random.randint(1, 2) if tries_again else 0,
            }
            for algorithm in NAMES
            for tries_again in (False, True)
        ]
    }


def judge(given: Given, shares: Any) -> Iterator[Finding]:
    """Kill a pod, make the calls, and compare what was lost: exactly for turns, within chance for dice."""
    said = shares if isinstance(shares, list) and len(shares) == len(given["situations"]) else [None] * 4
    for situation, share in zip(given["situations"], said, strict=True):
        yield _compare(situation, share)


def _compare(situation: Given, said: Any) -> Finding:
    algorithm, pods, retries = situation["algorithm"], situation["pods"], situation["retries"]
    lost = _lost_calls(algorithm, pods, retries)
    right = lost / CALLS if algorithm == "rr" else float(pods) ** -(retries + 1)
    is_number = isinstance(said, int | float) and not isinstance(said, bool)
    is_right = is_number and abs(said - right) <= CLOSE and lost in chance_range(CALLS, right)
    return Finding(
        f"{NAMES[algorithm]} {'with further tries' if retries else 'without a second try'}",
        MOST / 4 if is_right else 0.0,
        MOST / 4,
        f"the share lost in the long run; {pods} pods, {retries} further tries: here {lost} of {CALLS} were",
        repr(said)[:60],
        "" if is_right else "turns: whom does the next try meet? dice: every try must meet the dead pod",
    )


def _lost_calls(algorithm: str, pods: int, retries: int) -> int:
    mode = "ipvs" if algorithm == "rr" else algorithm
    service = clusters.service("web", cluster_ip="10.96.0.10")
    manifest = clusters.joined(clusters.nodes(1), clusters.deployment("web", pods), service)
    with Lab.open(Text(NAME, manifest), mode=mode) as lab:
        lab.kill("web-1")
        return lab.call("web", calls=CALLS, every_s=0.0, retries=retries).failed


EXERCISE = Exercise(NAME, MOST, plan_draw, Variable("shares"), judge)
