"""A real Jupyter kernel "Lab" and the client that talks to it."""

from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from processes import PATIENCE_S

from labkit.session import kernelspec


class Kernel:
    """A running kernel and the client that talks to it."""

    def __init__(self, specs: KernelSpecManager, errors: Path) -> None:
        self.manager = KernelManager(kernel_name=kernelspec.KERNEL_NAME, kernel_spec_manager=specs)
        self._errors = errors
        self._log = errors.open("wb")
        self.manager.start_kernel(stderr=self._log)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE_S)

    @property
    def launcher(self) -> int:
        return self.manager.provisioner.process.pid

    def run(self, code: str) -> str:
        """Run a cell; return what it wrote to stdout. An error of the cell is raised with its name."""
        written = []

        def collect(message):
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                written.append(message["content"]["text"])

        reply = self.client.execute_interactive(code, output_hook=collect, timeout=PATIENCE_S)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(reply["content"]["ename"])
        return "".join(written)

    def log(self) -> str:
        return self._errors.read_text(encoding="utf-8")

    def close(self) -> None:
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self.client.context.destroy(linger=0)
        self._log.close()
