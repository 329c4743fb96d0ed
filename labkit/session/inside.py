"""The guest's side of a session: ipykernel, with the connection that the launcher sent.

    python -m labkit.session.inside

The connection arrives in the environment and never touches the host's disk: ipykernel reads it from the
guest's own /run, which is memory.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

CONNECTION_VARIABLE = "LABKIT_CONNECTION"
CONNECTION_FILE = Path("/run/labkit/connection.json")


def write_connection_file(text: str) -> Path:
    """Write the connection (JSON) where only this guest can read it."""
    CONNECTION_FILE.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(CONNECTION_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return CONNECTION_FILE


def load_kernel() -> Any:
    """Import ipykernel and return its application, without its debugger: the kernelspec offers none."""
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # to Python this says: there is none
    import ipykernel.debugger
    import ipykernel.ipkernel
    import ipykernel.zmqshell  # noqa: F401
    from ipykernel.kernelapp import IPKernelApp

    del sys.modules["debugpy"]  # a learner may import it
    return IPKernelApp


def main() -> None:
    """Run ipykernel until Jupyter shuts it down."""
    app = load_kernel()
    path = write_connection_file(os.environ.pop(CONNECTION_VARIABLE))
    # File locks do not reach across the guest's root file system, so the history stays in memory.
    history = "--HistoryManager.hist_file=:memory:"
    # The guest's agent, process 1, is the parent; the launcher outside watches Jupyter.
    parent = f"--IPKernelApp.parent_handle={os.getppid()}"
    app.launch_instance(["-f", str(path), history, parent])


if __name__ == "__main__":
    main()
