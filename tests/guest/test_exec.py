"""`labkit exec`: as if the command ran here."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest
from guest.launches import DEADLINE_S, LABKIT

SCRIPT = """
cd / && [ "$(hostname)" = lab ] && echo "in the lab" >&2
cat
exit 7
"""


def test_status_input_output_and_errors_are_the_command_s_own(labkit_exec, tmp_path):
    data = os.urandom(1_000_000)
    status, out, err = labkit_exec("sh", "-c", SCRIPT, stdin=data)
    assert (status, err) == (7, "in the lab\n")
    assert out == data


def test_directory_environment_umask_and_arguments_are_the_caller_s(labkit_exec, tmp_path):
    directory = tmp_path / "with space and 'quote' ü"
    directory.mkdir()
    script = 'printf "%s|" "$@" "$PWD" "$ODD"; umask; touch made'
    status, out, err = labkit_exec(
        "sh",
        "-c",
        script,
        "sh",
        "a b",
        "",
        "$x",
        "ü\n=",
        env={"ODD": "a\n\udcff"},
        cwd=directory,
        umask=0o027,
    )
    assert (status, err) == (0, "")
    assert out == f"a b||$x|ü\n=|{directory}|a\n".encode() + b"\xff|0027\n"
    assert (directory / "made").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        (("no-such-command",), 127, "labkit: no-such-command: No such file or directory\n"),
        (("/etc",), 126, "labkit: /etc: Permission denied\n"),
    ],
)
def test_a_command_that_cannot_run_ends_as_env_says(labkit_exec, command, status, words):
    assert labkit_exec(*command) == (status, b"", words)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--guest", "/no/such/linux"), "there is no guest at /no/such/linux"),
        (("--memory", "lots"), "'lots' is no amount of memory"),
        (("--memory", "64M"), "64 MB is too little memory for the guest"),
        (("--wall-time-limit", "soon"), "'soon' is no limit of time"),
        (("--guest-time-limit", "nan"), "'nan' is no limit of time"),
    ],
)
def test_what_labkit_itself_cannot_do_ends_with_125_and_what_to_do(labkit_exec, options, says):
    status, out, err = labkit_exec("true", options=options)
    assert (status, out) == (125, b"")
    assert says in err
    assert "to do:" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "words",
    [
        ("exec", "--nope", "--", "true"),
        ("exec",),
        ("exec", "--memory"),
        ("shell", "--nope"),
        ("shell", "--mode"),
    ],
)
def test_an_error_of_usage_is_not_taken_for_the_command_s_own_status(launch, words):
    status, out, err = launch((*LABKIT, *words)).end()
    assert (status, out) == (125, b"")
    assert "rror:" in err
    assert "Traceback" not in err


def test_a_guest_that_is_no_linux_is_reported_with_its_console(labkit_exec, runtime):
    status, _, err = labkit_exec("true", options=("--guest", "/bin/false"))
    assert status == 125
    assert "the guest did not come up: it exited with status 1" in err
    assert not list(runtime.iterdir())


def test_death_by_signal_is_passed_on(labkit_exec):
    status, _, _ = labkit_exec("sh", "-c", "kill -TERM $$")
    assert status == -signal.SIGTERM


def test_a_signal_for_the_launcher_reaches_the_command(launch):
    one = launch(
        (
            *LABKIT,
            "exec",
            "--",
            "sh",
            "-c",
            "trap 'echo caught; exit 9' TERM; echo up; sleep 1000 & wait",
        )
    )
    one.ready()
    one.process.terminate()
    assert one.end() == (9, b"caught\n", "")
    one.nothing_left()


def test_a_reader_that_leaves_ends_the_command_as_it_would_here():
    with subprocess.Popen((*LABKIT, "exec", "--", "yes"), stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"y\n"
        process.stdout.close()
        assert process.wait(30) == -signal.SIGPIPE


def test_many_megabytes_come_through_in_order(labkit_exec):
    status, out, _ = labkit_exec("seq", "1", "1500000")
    assert status == 0
    assert out == subprocess.run(["seq", "1", "1500000"], capture_output=True, check=True).stdout


def test_closed_standard_files_are_no_trouble(labkit_exec):
    shell = subprocess.run(
        ["sh", "-c", f"{' '.join(LABKIT)} exec -- sh -c 'cat; echo unseen; echo done >&2' <&- >&-"],
        capture_output=True, check=True, timeout=DEADLINE_S,
    )  # fmt: skip
    assert shell.stderr == b"done\n"


def test_two_guests_run_at_once_and_know_nothing_of_each_other(launch):
    script = "ip link add $0 type dummy && echo up && read _ && ls /sys/class/net"
    one, two = (launch((*LABKIT, "exec", "--", "sh", "-c", script, name)) for name in ("first", "second"))
    for guest in (one, two):
        guest.ready()
    for guest, own, foreign in ((one, b"first", b"second"), (two, b"second", b"first")):
        links, _ = guest.process.communicate(b"\n", timeout=DEADLINE_S)
        assert own in links
        assert foreign not in links


def test_inside_the_lab_exec_stays_in_the_same_guest(labkit_exec):
    status, out, err = labkit_exec(
        "sh", "-c", "touch /run/here; exec $0 -m labkit exec -- ls /run/here", LABKIT[0]
    )
    assert (status, out, err) == (0, b"/run/here\n", "")


def test_whatever_needs_the_lab_runs_itself_again_inside(launch):
    script = "from labkit.guest.rerun import rerun_inside; rerun_inside(['doctor', '--json']); print('never')"
    status, out, err = launch((LABKIT[0], "-c", script)).end()
    assert (status, err) == (0, "")
    assert json.loads(out)["linux"]["kind"] == "inside"


def test_a_directory_that_was_removed_is_an_error(launch):
    gone = 'd=$(mktemp -d); cd "$d"; rmdir "$d"; exec "$@"'
    status, _, err = launch(("sh", "-c", gone, "sh", *LABKIT, "exec", "--", "true")).end()
    assert status == 125
    assert "this directory was removed" in err


def test_the_guest_has_the_clock_of_the_host(labkit_exec):
    before = subprocess.run(["date", "+%s"], capture_output=True, check=True).stdout
    _, out, _ = labkit_exec("date", "+%s")
    after = subprocess.run(["date", "+%s"], capture_output=True, check=True).stdout
    assert int(before) - 2 <= int(out) <= int(after) + 2
