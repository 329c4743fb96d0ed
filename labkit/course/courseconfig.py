"""nbgrader's configuration, as every course root has it, and nbgrader itself: only instructors need it."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from labkit.errors import CapabilityError

SHIPPED_CONFIG = Path(__file__).with_name("nbgrader_config.txt")


def require_nbgrader() -> None:
    """Raise CapabilityError where nbgrader is not installed; let it find the commands installed with it.

    It starts `alembic` by name when it makes a gradebook.
    """
    if find_spec("nbgrader") is None:
        raise CapabilityError(
            "nbgrader is not installed",
            where="lessons with exercises",
            todo='pip install "labkit[instructor]"',
        )
    beside, path = str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)
    if beside not in path.split(os.pathsep):
        os.environ["PATH"] = f"{beside}{os.pathsep}{path}"


def load_config(path: Path = SHIPPED_CONFIG) -> Any:
    """Return a configuration file of nbgrader's as a traitlets Config."""
    from traitlets.config import PyFileConfigLoader

    return PyFileConfigLoader(path.name, path=str(path.parent)).load_config()
