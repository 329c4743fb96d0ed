"""A real JupyterLab server on this machine's loopback, with everything of its own in one folder."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

PATIENCE_S = 60
OPTIONS = (
    "--no-browser",
    "--allow-root",
    "--ServerApp.port=0",
    "--ServerApp.ip=127.0.0.1",
    "--IdentityProvider.token=",
    "--LabApp.news_url=None",
)


def jupyter_environment(folder, **more):
    """An environment in which Jupyter keeps everything in `folder`."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        **{f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")},
        **more,
    }


@contextlib.contextmanager
def serve(folder, environment):
    """Yield the address (with a slash at its end) of a JupyterLab that serves `folder`."""
    log = folder / "server.log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *OPTIONS],
            cwd=folder,
            env=environment,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        yield _address(server, log)
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _address(server, log):
    # Jupyter says where it listens in its log only.
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        said = log.read_text()
        assert server.poll() is None, said
        for found in re.findall(r"http://127\.0\.0\.1:\d+/", said):
            return found
        time.sleep(0.1)
    raise AssertionError(said)
