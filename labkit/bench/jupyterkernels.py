"""Jupyter kernels started as Jupyter starts them: the kernel "Lab" and a native ipykernel, side by side."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from labkit.errors import GuestError
from labkit.session import kernelspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NATIVE = "native"
_NATIVE_SPEC = {
    "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Native",
    "language": "python",
}
_DEADLINE_S = 60


@contextmanager
def new_kernels() -> Iterator[Kernels]:
    """Yield kernels of this Python: `labkit` and `native`, in a folder that goes at the end."""
    with tempfile.TemporaryDirectory() as prefix:
        folder = kernelspec.install(prefix=prefix).parent
        (folder / NATIVE).mkdir()
        (folder / NATIVE / "kernel.json").write_text(json.dumps(_NATIVE_SPEC))
        yield Kernels(folder)


class Kernels:
    """Kernels that can be started from the specs in a folder."""

    def __init__(self, folder: Path) -> None:
        from jupyter_client.kernelspec import KernelSpecManager

        self._specs = KernelSpecManager(kernel_dirs=[str(folder)])

    def ready_s(self, name: str) -> float:
        """Return the seconds from starting a kernel to its reply to kernel_info_request."""
        return self._start(name, None)

    def first_cell_s(self, name: str) -> float:
        """Return the seconds from starting a kernel, asking it who it is, to its first cell's reply."""
        return self._start(name, "1 + 1")

    def _start(self, name: str, code: str | None) -> float:
        from jupyter_client.manager import KernelManager

        manager = KernelManager(kernel_name=name, kernel_spec_manager=self._specs)
        with tempfile.TemporaryFile() as words:
            begun = time.monotonic()
            manager.start_kernel(stdout=words, stderr=words)
            client = manager.client()
            try:
                client.start_channels()
                _await_reply(client, client.kernel_info())
                if code is not None:
                    _await_reply(client, client.execute(code))
                return time.monotonic() - begun
            finally:
                client.stop_channels()
                manager.shutdown_kernel(now=True)
                manager.cleanup_resources()
                client.context.destroy(linger=0)


def _await_reply(client: Any, asked: str) -> None:
    from queue import Empty

    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        try:
            message = client.get_shell_msg(timeout=_DEADLINE_S)
        except Empty:
            break
        if message["parent_header"].get("msg_id") == asked:
            return
    raise GuestError(f"the kernel did not answer within {_DEADLINE_S} seconds", todo="labkit doctor")
