"""The whole of it as a pod has it: no rights, Docker's seccomp profile, a noexec /dev/shm of 64 MB."""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SANDBOX = (sys.executable, str(ROOT / "tests/sandbox"))
DEADLINE_S = 100

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can make the sandbox")


@pytest.fixture(scope="module")
def python():
    """A Python that another user may run, with everything that this one has: (argv, environment)."""
    candidates = {
        sys.executable: {},
        f"/usr/bin/python3.{sys.version_info.minor}": {
            "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_paths()["purelib"]])
        },
    }
    for executable, environment in candidates.items():
        if shutil.which(executable):
            tried = sandboxed([executable, "-c", "import labkit.cli.main"], environment)
            if tried.returncode == 0:
                return executable, environment
    pytest.skip("no Python here that another user may run")


def sandboxed(command, environment, *options):
    return subprocess.run(
        [*SANDBOX, *options, "--", *command],
        env={**os.environ, **environment},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def test_the_sandbox_is_what_it_says(python):
    status = sandboxed(["cat", "/proc/self/status", "/proc/self/mounts"], {}).stdout
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    assert "/dev/shm tmpfs rw,nosuid,nodev,noexec" in status
    assert sandboxed(["unshare", "--user", "true"], {}).returncode != 0


def test_only_home_can_be_written_where_the_rest_is_read_only(output):
    script = (
        'for d in "$HOME" /dev/shm /tmp /var/tmp; do touch "$d/mine" 2>/dev/null && echo "$d"; done; true'
    )
    options = ("--home", str(output), "--read-only")
    assert sandboxed(["sh", "-c", script], {}, *options).stdout.split() == [str(output), "/dev/shm"]
    assert (output / "mine").exists()


def test_what_takes_more_memory_than_it_may_is_killed():
    take = ["python3", "-c", "print(len(bytearray(200 * 2**20)))"]
    enough = sandboxed(take, {}, "--memory", "400")
    if "control group" in enough.stderr:
        pytest.skip(enough.stderr)
    assert enough.returncode == 0
    assert sandboxed(take, {}, "--memory", "100").returncode == 128 + signal.SIGKILL


def test_doctor_says_that_a_lab_can_run_there(python):
    executable, environment = python
    done = sandboxed([executable, "-m", "labkit", "doctor", "--json"], environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["linux"]["kind"] == "uml"


@pytest.fixture
def output():
    """A folder that everybody may write to, whose parents everybody may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def test_the_demo_runs_there(python, output):
    executable, environment = python
    arguments = ["demo", "web", "--algorithms", "iptables,rr", "--connections", "40", "--output", str(output)]
    done = sandboxed([executable, "-m", "labkit", *arguments], environment)
    assert done.returncode == 0, done.stderr
    runs = json.loads((output / "results.json").read_text())["runs"]
    assert [(run["algorithm"], run["answered"]) for run in runs] == [("random", 40), ("rr", 40)]
    assert (output / "results.json").stat().st_uid == 1000
