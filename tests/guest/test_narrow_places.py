"""Guests on machines that allow little: no rights, a small or noexec /dev/shm, no User-Mode Linux."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import labkit_guest
import pytest
from guest.launches import DEADLINE_S, LABKIT, RUN_HOST, RUN_UML

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes mounts and changes user")
SYSTEM_PYTHON = "/usr/bin/python3"
NO_RIGHTS = ("setpriv", "--no-new-privs", "--bounding-set", "-all")
NOBODY = (*NO_RIGHTS, "--reuid", "65534", "--regid", "65534", "--clear-groups")
WORK = (
    "iptables-legacy -t nat -A OUTPUT -j RETURN && ipvsadm -A -t 10.0.0.1:80 -s sh && "
    "ip link add d0 type dummy && ip netns add n && touch made && echo done"
)
needs_system_python = pytest.mark.skipif(
    not Path(SYSTEM_PYTHON).exists(), reason="no Python every user may run"
)


def with_mounts(script, command):
    """A command in a mount namespace of its own, after a script that mounts."""
    return ("unshare", "-m", "sh", "-c", f'{script}; exec "$@"', "sh", *command)


@needs_root
@needs_system_python
def test_a_user_without_any_right_has_a_lab(launch, runtime):
    one = launch(
        (*NOBODY, SYSTEM_PYTHON, "-c", RUN_UML, "sh", "-c", WORK), cwd=runtime, env={"HOME": str(runtime)}
    )
    assert one.end() == (0, b"done\n", "")
    assert (runtime / "made").stat().st_uid == 65534


@needs_root
@needs_system_python
def test_a_user_where_user_namespaces_are_forbidden_has_a_lab(launch, runtime):
    forbid = (
        "unshare",
        "-U",
        "-r",
        "sh",
        "-c",
        'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"',
        "sh",
    )
    one = launch((*forbid, *NO_RIGHTS, SYSTEM_PYTHON, "-c", RUN_UML, "sh", "-c", WORK), cwd=runtime)
    assert one.end() == (0, b"done\n", "")


@needs_root
@needs_system_python
def test_the_host_backend_needs_no_rights_where_user_namespaces_are_allowed(launch, runtime):
    script = "ip link show lo && ip netns add n && iptables-legacy -t nat -A OUTPUT -j RETURN && echo done"
    one = launch((*NOBODY, SYSTEM_PYTHON, "-c", RUN_HOST, "sh", "-c", script), cwd=runtime)
    status, out, err = one.end()
    assert (status, out.splitlines()[-1], err) == (0, b"done", "")
    assert b"LOOPBACK,UP" in out


@needs_root
@pytest.mark.parametrize("options", ["size=64m", "noexec,size=2g", "noexec,size=64m"])
def test_a_shm_that_will_not_do_is_passed_over(labkit_exec, launch, options):
    one = launch(
        with_mounts(f"mount -t tmpfs -o {options} shm /dev/shm", (*LABKIT, "exec", "--", "echo", "runs"))
    )
    assert one.end() == (0, b"runs\n", "")


@needs_root
def test_no_place_for_memory_is_an_error_that_names_each(launch, runtime):
    mounts = "mount -t tmpfs -o noexec,size=200t x /dev/shm; mount -t tmpfs -o size=10m x /var/tmp"
    env = {"XDG_RUNTIME_DIR": "", "TMPDIR": "", "XDG_CACHE_HOME": "/nowhere"}
    more_than_any_disk = ("--memory", "100000000M")
    one = launch(with_mounts(mounts, (*LABKIT, "exec", *more_than_any_disk, "--", "true")), env=env)
    status, out, err = one.end()
    assert (status, out) == (125, b"")
    assert re.search(
        r"/dev/shm is mounted noexec; /tmp has only \d+ MB free; /var/tmp has only 10 MB free", err
    )
    assert "to do: set TMPDIR" in err


@needs_root
def test_without_user_mode_linux_the_error_is_the_command_that_installs_it(launch):
    hide = f"mount --bind /dev/null /usr/bin/linux.uml; mount --bind /dev/null {labkit_guest.PACKED}"
    one = launch(with_mounts(hide, (*LABKIT, "exec", "--guest", "auto", "--", "true")))
    status, _, err = one.end()
    assert status == 125
    assert "to do: sudo apt-get install user-mode-linux" in err


def test_doctor_says_what_the_guest_can_do_and_what_is_missing_where_none_is(tmp_path):
    found = subprocess.run((*LABKIT, "doctor", "--json"), capture_output=True, timeout=DEADLINE_S, check=True)
    report = json.loads(found.stdout)
    assert report["can_run"] is True
    assert {"rr", "wrr", "lc", "wlc", "sh", "dh", "sed", "nq"} <= set(report["capabilities"]["schedulers"])

    missing = subprocess.run(
        (*LABKIT, "doctor", "--guest", "/no/such"), capture_output=True, timeout=DEADLINE_S, check=False
    )
    assert missing.returncode == 3
    assert "No lab can run here: there is no guest at /no/such" in missing.stdout.decode()
