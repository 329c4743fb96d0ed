"""The kernel "Lab" as VS Code starts it: the kernelspec's own command line, and nothing of Jupyter around it.

What VS Code does stands in its Jupyter extension, src/kernels/raw: finder/jupyterPaths.node.ts (which folders
it searches), launcher/kernelProcess.node.ts (it fills in what follows -f, sends an interrupt as a message
where the kernelspec says so, and at the end kills whatever is below the process, then the process).
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.connect import write_connection_file
from processes import PATIENCE_S, descendants, wait_for_end

from labkit.chart.picture import PLOTLY_MIME
from labkit.course.lesson import plan_notebook

LESSON = Path(__file__).parents[2] / "notebooks/source/00-the-lab.py"


@pytest.fixture(scope="module")
def home(some_linux, tmp_path_factory):
    """A user's home in which the kernel is registered."""
    home = tmp_path_factory.mktemp("home")
    install = (sys.executable, "-m", "labkit", "session", "install", "--user")
    subprocess.run(install, env=environment(home), capture_output=True, check=True)
    return home


def environment(home):
    """An editor's environment: it knows neither Jupyter nor a virtual environment."""
    return {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def specification(home):
    """What VS Code reads in the user's folder."""
    return json.loads((home / ".local/share/jupyter/kernels/labkit/kernel.json").read_text(encoding="utf-8"))


class Spawned:
    """The process that an editor started, and its side of the kernel's sockets."""

    def __init__(self, specification, home):
        file, _ = write_connection_file(str(home / "connection.json"), ip="127.0.0.1", key=b"a key")
        command = [word.replace("{connection_file}", file) for word in specification["argv"]]
        self.process = subprocess.Popen(
            command, env=environment(home), cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.client = BlockingKernelClient(connection_file=file)
        self.client.load_connection_file()
        self.client.start_channels(hb=False)  # it would call a kernel dead that takes a second to start
        self.client.wait_for_ready(timeout=PATIENCE_S)

    def run(self, code):
        """Run a cell; return the reply and its outputs."""
        outputs = []
        reply = self.client.execute_interactive(code, output_hook=outputs.append, timeout=PATIENCE_S)
        return reply["content"], outputs

    def close(self):
        """End it as VS Code does."""
        self.client.stop_channels()
        everything = descendants(self.process.pid)
        for pid in everything:
            with contextlib.suppress(ProcessLookupError):  # it went with the one before
                os.kill(pid, signal.SIGTERM)
        self.process.terminate()
        self.process.communicate()
        wait_for_end(everything)
        return everything


@pytest.fixture(scope="module")
def spawned(specification, home):
    spawned = Spawned(specification, home)
    yield spawned
    assert spawned.close()


def test_vs_code_can_start_what_the_kernelspec_says(specification):
    interpreter, *arguments = specification["argv"]
    assert Path(interpreter).is_absolute()
    assert os.access(interpreter, os.X_OK)
    assert arguments[arguments.index("-f") + 1] == "{connection_file}"
    assert not any("ipykernel" in word for word in specification["argv"])
    assert specification["interrupt_mode"] == "message"
    assert "kernel_provisioner" not in specification["metadata"]


def test_the_first_lesson_runs_there(spawned):
    shown = []
    for cell in plan_notebook(LESSON).cells:
        if cell.cell_type == "code":
            reply, outputs = spawned.run(cell.source)
            assert reply["status"] == "ok", (cell.source, reply)
            shown += [output["content"] for output in outputs]
    assert not [content for content in shown if content.get("name") == "stderr"]
    charts = [content["data"] for content in shown if PLOTLY_MIME in content.get("data", {})]
    assert charts
    assert all(data["text/html"].startswith("<svg") for data in charts)


def test_an_interrupt_is_a_message(spawned):
    # Else the kernel throws away what comes in the moment after the error.
    waiting = spawned.client.execute("import signal; print('waiting'); signal.pause()", stop_on_error=False)
    while spawned.client.get_iopub_msg(timeout=PATIENCE_S)["content"].get("text") != "waiting\n":
        continue
    spawned.client.control_channel.send(spawned.client.session.msg("interrupt_request"))
    while (reply := spawned.client.get_shell_msg(timeout=PATIENCE_S))["parent_header"]["msg_id"] != waiting:
        continue
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert spawned.run("1 + 1")[0]["status"] == "ok"
