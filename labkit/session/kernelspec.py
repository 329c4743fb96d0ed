"""The kernelspecs: how Jupyter learns of the kernel "Lab" and of the one that grades, and how they start."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

KERNEL_NAME = "labkit"
DISPLAY_NAME = "Lab"
GRADING_KERNEL_NAME = "labkit-grade"
_GRADING_DISPLAY_NAME = "Lab (grading)"


def kernel_spec() -> dict[str, Any]:
    """Return kernel.json's content of the kernel that learners use, for this Python.

    The argv holds an absolute interpreter, because VS Code starts it itself, and not the name of the ordinary
    Python kernel, because VS Code rewrites such lines. Interrupts are messages: a signal would reach the
    launcher outside the guest.
    """
    return _spec(DISPLAY_NAME, "labkit.session")


def grading_kernel_spec() -> dict[str, Any]:
    """Return kernel.json's content of the kernel that runs submissions."""
    return _spec(_GRADING_DISPLAY_NAME, "labkit.session.grading")


def install(*, user: bool = False, prefix: str | None = None) -> Path:
    """Register both kernels for this user, or under `prefix`; return the folder of the learners' one.

    Raises OSError where that folder may not be written.
    """
    _install(GRADING_KERNEL_NAME, grading_kernel_spec(), user=user, prefix=prefix)
    return _install(KERNEL_NAME, kernel_spec(), user=user, prefix=prefix)


def _spec(display_name: str, module: str) -> dict[str, Any]:
    return {
        "argv": [sys.executable, "-m", module, "-f", "{connection_file}"],
        "display_name": display_name,
        "language": "python",
        "interrupt_mode": "message",
        "metadata": {"debugger": False},
    }


def _install(name: str, spec: dict[str, Any], *, user: bool, prefix: str | None) -> Path:
    from jupyter_client.kernelspec import KernelSpecManager

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, name)
        folder.mkdir()  # it is copied with its mode, and the one around it is for this user alone
        (folder / "kernel.json").write_text(json.dumps(spec, indent=1), encoding="utf-8")
        logo = Path(__file__).with_name("logo.svg")
        (folder / "logo-svg.svg").write_bytes(logo.read_bytes())
        manager = KernelSpecManager()
        return Path(manager.install_kernel_spec(str(folder), name, user=user, prefix=prefix))
