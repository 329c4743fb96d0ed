"""The wall around a guest, tried from inside by root: on the host nothing can be read, written or changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.guest.capabilities import choose_linux
from labkit.guest.capture import run_and_capture
from labkit.guest.run import Guest
from labkit.guest.wall import WALL_VARIABLE, landlock_version
from labkit.session.grading import private_folders
from labkit.session.readable import plan_wall

needs_landlock = pytest.mark.skipif(landlock_version() == 0, reason="this kernel has no Landlock")


@pytest.fixture(scope="module")
def world(some_linux, tmp_path_factory):
    """A folder that is given to the guest, and one that is not, side by side."""
    root = tmp_path_factory.mktemp("world")
    for name in ("given", "closed"):
        (root / name).mkdir()
        (root / name / "file").write_text(name)
    return root


@pytest.fixture(scope="module")
def walled(world):
    """A guest behind its wall."""
    linux = choose_linux("uml")
    with private_folders() as folders, pytest.MonkeyPatch.context() as patch:
        wall = plan_wall(linux, world / "given", *folders[:2], [world / "closed"], raised=True)
        patch.setenv(WALL_VARIABLE, wall.to_json())
        patch.setenv("TMPDIR", str(folders[0]))
        patch.delenv("XDG_RUNTIME_DIR", raising=False)
        with Guest.boot(linux, memory_mb=128) as guest:
            left = [path for folder in folders for path in folder.rglob("*")]
            assert left == [], "nothing that the guest may write to is left once it is up"
            yield guest


@pytest.fixture
def inside(walled, world):
    """Run a script in the guest, where `closed` and `given` are mounted anew; return output and status."""

    def run(script):
        mount = "mkdir -p /run/{0}; mountpoint -q /run/{0} || mount -t hostfs none /run/{0} -o {1}/{0}\n"
        mounts = "".join(mount.format(name, world) for name in ("given", "closed"))
        done = run_and_capture(walled, ("sh", "-c", f"exec 2>&1\n{mounts}{script}"), b"")
        return done.output.decode(), os.waitstatus_to_exitcode(done.wait_status)

    return run


@needs_landlock
def test_what_is_given_can_be_read_and_the_rest_cannot(inside, world):
    assert inside("cat /run/given/file") == ("given", 0)
    for path in (
        *("/run/closed/file", f"{world}/closed/file", Path.home() / ".bashrc", "/etc/shadow"),
        *(f"/proc/1/root{world}/closed/file", f"{world}/given/../closed/file"),
    ):
        output, status = inside(f"cat {path}")
        assert status != 0, path
        assert "closed" not in output.replace(str(path), "")
    assert inside("ls /run/closed")[1] != 0
    assert inside(f"ls {world}")[1] != 0


@needs_landlock
@pytest.mark.parametrize(
    "change",
    [
        *("echo x > {}/file", "echo x >> {}/file", "echo x > {}/new", "mkdir {}/new", "rm {}/file"),
        *(
            "mv {}/file {}/moved",
            "ln -s x {}/link",
            "ln {}/file {}/link",
            "mkfifo {}/pipe",
            "mknod {}/n c 1 3",
        ),
        *("chmod 777 {}/file", "chown 7 {}/file", "touch -d 2001-01-01 {}/file", "truncate -s 0 {}/file"),
        "setfattr -n user.a -v b {}/file",
    ],
)
def test_nothing_on_the_host_can_be_changed(inside, world, change):
    def state(path):
        entry = path.lstat()
        return path, entry.st_mode, entry.st_uid, entry.st_mtime_ns, entry.st_size

    before = sorted(map(state, world.rglob("*")))
    inside("mount -o remount,rw /")
    for name in ("given", "closed"):
        for folder in (f"/run/{name}", f"{world}/{name}"):
            output, status = inside(change.format(folder, folder))
            assert status != 0, output
    assert sorted(map(state, world.rglob("*"))) == before


@needs_landlock
def test_there_is_no_way_into_the_host_s_network(inside):
    assert inside("ls /sys/class/net")[0].split() == ["dummy0", "lo"]
    assert inside("ip route; ip -6 route")[0].replace("fe80::/64 dev dummy0", "").strip() == ""
    output, _ = inside("for device in /sys/class/net/*; do readlink -f $device; done")
    assert all("/devices/virtual/" in line for line in output.splitlines())


@needs_landlock
def test_the_guest_s_process_itself_is_closed_in(walled):
    """The last line: what somebody could do who has taken over the guest's process on the host."""
    name = f"umid={walled.name}".encode()
    lines = {path.parent: path.read_bytes().split(b"\0") for path in Path("/proc").glob("[0-9]*/cmdline")}
    guest = next(process for process, arguments in lines.items() if name in arguments)
    status = dict(
        line.split(":\t", 1) for line in (guest / "status").read_text().splitlines() if ":\t" in line
    )
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert int(status["Seccomp_filters"]) >= 1


WITHOUT_LANDLOCK = """
import os, sys
from labkit.guest import seccomp
seccomp.deny(frozenset({444, 445, 446}))
os.execv(sys.executable, [sys.executable, "-m", "labkit.session.grading", "-f", "/nonexistent"])
"""


def test_without_landlock_nothing_is_graded():
    command = [sys.executable, "-c", WITHOUT_LANDLOCK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "Landlock" in done.stderr
    assert "--unconfined" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("inside_of", [sys.prefix, str(Path(__file__).parents[2] / "labkit")])
def test_a_course_inside_of_what_every_notebook_reads_is_refused(some_linux, tmp_path, inside_of):
    from labkit.errors import RequestError

    course = Path(inside_of, "course")
    with pytest.raises(RequestError, match="cannot be kept from a notebook"):
        plan_wall(choose_linux("uml"), tmp_path, tmp_path / "a", tmp_path / "b", [course], raised=True)
