"""The kernel "Lab": it behaves as Jupyter's own Python kernel does, and lives in the guest."""

import json
import os
import platform
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from processes import PATIENCE_S, descendants, wait_for_end


def test_the_python_of_the_notebook_runs_in_the_guest_as_root_in_this_directory(kernel, tmp_path):
    answer = kernel.run(
        "import os, platform, json; print(json.dumps([platform.release(), os.getuid(), os.getcwd()]))"
    )
    release, uid, directory = json.loads(answer)
    assert release != platform.release()
    assert uid == 0
    assert directory == str(Path.cwd())


def test_bash_cells_run_in_the_guest(kernel):
    assert kernel.run("%%bash\nhostname") == "lab\n"


def test_the_connection_is_not_in_the_environment_of_what_the_notebook_starts(kernel):
    assert kernel.run("!env | grep -c LABKIT_CONNECTION").strip() == "0"


def test_a_megabyte_of_output_arrives_whole(kernel):
    assert kernel.run("print('x' * 1_000_000)") == "x" * 1_000_000 + "\n"


def test_an_interrupt_ends_the_cell_and_not_the_kernel(kernel):
    # Else the kernel throws away what comes in the moment after the error.
    message = kernel.client.execute("import signal; print('waiting'); signal.pause()", stop_on_error=False)
    while True:
        output = kernel.client.get_iopub_msg(timeout=PATIENCE_S)
        if output["content"].get("text") == "waiting\n":
            break
    kernel.manager.interrupt_kernel()
    while True:
        reply = kernel.client.get_shell_msg(timeout=PATIENCE_S)
        if reply["parent_header"]["msg_id"] == message:
            break
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert kernel.run("print(6 * 7)") == "42\n"


def test_a_terminal_attaches_to_the_notebook_s_own_guest(kernel):
    name = kernel.run("import os; print(os.environ['LABKIT_LAB'])").strip()
    kernel.run("!ip netns add seen-from-the-terminal")
    attach = [sys.executable, "-m", "labkit", "attach", name, "--", "ip", "netns"]
    done = subprocess.run(attach, capture_output=True, text=True, check=False)
    kernel.run("!ip netns delete seen-from-the-terminal")
    assert (done.returncode, done.stdout) == (0, "seen-from-the-terminal\n")


def test_a_restart_gives_an_empty_lab_of_another_name(new_kernel):
    kernel = new_kernel()
    before = kernel.run("import os; kept = 1; print(os.environ['LABKIT_LAB'])")
    kernel.run("!ip netns add leftover")
    old = descendants(kernel.launcher)
    kernel.manager.restart_kernel(now=False)
    kernel.client.wait_for_ready(timeout=PATIENCE_S)
    wait_for_end(old)
    assert kernel.run("import os; print(os.environ['LABKIT_LAB'])") != before
    assert kernel.run("print('kept' in globals())") == "False\n"
    assert kernel.run("!ip netns") == ""


def test_a_dead_guest_ends_the_launcher_and_says_so(new_kernel):
    kernel = new_kernel()
    everything = descendants(kernel.launcher)
    power_off = 0x4321FEDC
    kernel.client.execute(f"import ctypes; ctypes.CDLL(None).reboot({power_off})")
    wait_for_end(everything)
    assert kernel.manager.provisioner.process.wait(timeout=PATIENCE_S) == 1
    assert "the guest" in kernel.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_ended_launcher_leaves_nothing(new_kernel, number):
    kernel = new_kernel()
    everything = descendants(kernel.launcher)
    assert everything
    os.kill(kernel.launcher, number)
    wait_for_end(everything)


def test_the_death_of_jupyter_ends_the_guest(kernel_specs, tmp_path):
    """Jupyter is killed with -9; the kernel has nobody left to serve."""
    script = (
        "import sys, os\n"
        "from jupyter_client.manager import KernelManager\n"
        "from jupyter_client.kernelspec import KernelSpecManager\n"
        "manager = KernelManager(kernel_name='labkit',"
        " kernel_spec_manager=KernelSpecManager(kernel_dirs=[sys.argv[1]]))\n"
        "manager.start_kernel()\n"
        "client = manager.client(); client.start_channels(); client.wait_for_ready(timeout=60)\n"
        "print(manager.provisioner.process.pid, flush=True)\n"
        "import signal; signal.pause()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, kernel_specs.kernel_dirs[0]],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as jupyter:
        launcher = int(jupyter.stdout.readline())
        everything = descendants(launcher) | {launcher}
        jupyter.kill()
    wait_for_end(everything)


def test_a_taken_port_is_named(kernel_specs, tmp_path):
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
    numbers = [port.getsockname()[1] for port in ports]
    for port in ports[1:]:
        port.close()
    channels = ("shell", "iopub", "stdin", "control", "hb")
    values = {f"{channel}_port": number for channel, number in zip(channels, numbers, strict=True)}
    file = tmp_path / "connection.json"
    file.write_text(json.dumps({"transport": "tcp", "ip": "127.0.0.1", "key": "", **values}))
    done = subprocess.run(
        [sys.executable, "-m", "labkit.session", "-f", file], capture_output=True, text=True, check=False
    )
    ports[0].close()
    assert done.returncode == 1
    assert f"127.0.0.1:{numbers[0]}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["", "{}", '{"transport": "ipc", "ip": "x"}', "[]"])
def test_a_file_that_is_no_connection_file_is_named(tmp_path, text):
    file = tmp_path / "connection.json"
    file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "labkit.session", "-f", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr
