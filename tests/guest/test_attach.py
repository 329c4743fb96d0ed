"""`labkit attach`: a second terminal in a running guest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from guest.launches import DEADLINE_S, LABKIT, RUN_HOST, poll

BACKENDS = {
    "uml": (*LABKIT, "exec", "--guest", "uml", "--"),
    "host": (sys.executable, "-c", RUN_HOST),
}
REPORT = 'echo $LABKIT_LAB; echo "$$" > /run/pid; read _; cat /run/left 2>/dev/null'


@pytest.fixture(params=BACKENDS)
def lab(launch, request):
    """A lab whose command says its name and waits; `name` is what attach takes."""
    if request.param == "host" and os.geteuid() != 0:
        pytest.skip("the host backend needs root here")
    one = launch((*BACKENDS[request.param], "sh", "-c", REPORT))
    one.name = one.ready().decode().strip()
    return one


def attach(*words, **options):
    argv = (*LABKIT, "attach", *words)
    return subprocess.run(argv, capture_output=True, timeout=DEADLINE_S, check=False, **options)


def test_a_command_runs_in_the_same_guest_with_its_own_files_and_status(lab):
    data = os.urandom(300_000)
    script = "cat; hostname >&2; test -s /run/pid; echo seen > /run/left; exit 4"
    joined = attach(lab.name, "--", "sh", "-c", script, input=data)
    assert (joined.returncode, joined.stderr) == (4, b"lab\n")
    assert joined.stdout == data
    assert lab.process.communicate(b"\n", timeout=DEADLINE_S)[0] == b"seen\n"
    lab.nothing_left()


def test_two_at_once_and_one_that_is_killed_disturb_nobody(lab):
    script = "echo $$ > /run/killed; echo up; cat"
    killed = subprocess.Popen(
        (*LABKIT, "attach", lab.name, "--", "sh", "-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with killed:
        assert killed.stdout.readline() == b"up\n"
        assert attach(lab.name, "--", "echo", "other").stdout == b"other\n"
        killed.send_signal(signal.SIGKILL)
    poll(
        lambda: attach(lab.name, "--", "sh", "-c", "kill -0 $(cat /run/killed)").returncode != 0,
        "the hung-up command gone",
    )
    assert attach(lab.name, "--", "echo", "still here").stdout == b"still here\n"


def test_the_lab_s_end_ends_the_attached_with_an_error(lab):
    argv = (*LABKIT, "attach", lab.name, "--", "sh", "-c", "echo up; sleep 1000")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as joined:
        assert joined.stdout.readline() == b"up\n"
        lab.process.kill()
        _, errors = joined.communicate(timeout=DEADLINE_S)
    assert joined.returncode == 1
    assert f"lab {lab.name} has ended" in errors.decode()
    lab.nothing_left()


def test_a_lab_that_does_not_run_is_named_with_those_that_do(lab):
    answer = attach("nosuchlab")
    assert answer.returncode == 2
    assert "no lab called nosuchlab is running" in answer.stderr.decode()
    assert lab.name in answer.stderr.decode()
