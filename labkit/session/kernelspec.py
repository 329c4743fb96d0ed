"""The kernelspec: how Jupyter learns that there is a kernel called Lab, and how it is started."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

KERNEL_NAME = "labkit"
DISPLAY_NAME = "Lab"


def kernel_spec() -> dict[str, Any]:
    """Return kernel.json's content, for this Python.

    The argv holds an absolute interpreter, because VS Code starts it itself, and not the name of the ordinary
    Python kernel, because VS Code rewrites such lines. Interrupts are messages: a signal would reach the
    launcher outside the guest.
    """
    return {
        "argv": [sys.executable, "-m", "labkit.session", "-f", "{connection_file}"],
        "display_name": DISPLAY_NAME,
        "language": "python",
        "interrupt_mode": "message",
        "metadata": {"debugger": False},
    }


def install(*, user: bool = False, prefix: str | None = None) -> Path:
    """Register the kernel for this user, or under `prefix`; return the folder it was written to.

    Raises OSError where that folder may not be written.
    """
    from jupyter_client.kernelspec import KernelSpecManager

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, KERNEL_NAME)
        folder.mkdir()  # it is copied with its mode, and the one around it is for this user alone
        (folder / "kernel.json").write_text(json.dumps(kernel_spec(), indent=1), encoding="utf-8")
        logo = Path(__file__).with_name("logo.svg")
        (folder / "logo-svg.svg").write_bytes(logo.read_bytes())
        manager = KernelSpecManager()
        return Path(manager.install_kernel_spec(str(folder), KERNEL_NAME, user=user, prefix=prefix))
