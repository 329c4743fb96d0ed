"""Notebooks that attack the marking: they gain nothing, and cost only the cells that do it.

Each is run by the real kernel `labkit-grade` and scored by nbgrader's own rule.
"""

import pytest
from submissions import CHECK, POINTS, CourseRoot, error_name, points, stdout, text

from labkit.guest.wall import landlock_version

# `make test-course` runs the slow ones, too, which take minutes.
pytestmark = pytest.mark.skipif(landlock_version() == 0, reason="this kernel has no Landlock")

WRONG = "found = ['nobody', 'nowhere']"

LYING_MODULES = """
import builtins, sys
import labkit.grade, labkit.grade.mark, labkit.grade.marking, labkit.grade.guidance
labkit.grade.check = labkit.grade.guidance.check = lambda *_: 2.0
labkit.grade.mark.Mark.points = property(lambda self: 2.0)
labkit.grade.marking.mark_answer = lambda *_: None
check = labkit.grade.check
builtins.round = lambda *_: 2.0
"""
SILENT_DISPLAY = """
from IPython import get_ipython
from IPython.core.interactiveshell import InteractiveShell
InteractiveShell.showtraceback = lambda *_, **__: None
get_ipython().display_pub.publish = lambda *_, **__: None
get_ipython().set_custom_exc((Exception,), lambda *_, **__: None)
"""
FORGED_RESULTS = """
import itertools, threading, time
from IPython import get_ipython
kernel = get_ipython().kernel
result = {"data": {"text/plain": "2"}, "metadata": {}, "execution_count": 1}
def publish():
    parent = kernel.get_parent()
    for number in itertools.count():
        session, process, _ = parent["header"]["msg_id"].rsplit("_", 2)
        for id_ in (f"{session}_{process}_{number % 200}", None):
            forged = {**parent, "header": {**parent["header"], "msg_id": id_}} if id_ else {}
            kernel.session.send(kernel.iopub_socket, "execute_result", result, parent=forged)
        time.sleep(0.02)
threading.Thread(target=publish, daemon=True).start()
"""
CAPTURED_OUTPUT = """
import ipywidgets
widget = ipywidgets.Output()
parent = get_ipython().kernel.get_parent()["header"]["msg_id"]
session, process, number = parent.rsplit("_", 2)
for ahead in range(1, 20):
    widget.msg_id = f"{session}_{process}_{int(number) + ahead}"
"""
COVERED_FILES = """
import subprocess, sys, labkit.grade
script = f'''
mount -o remount,rw /
echo "print(2.0)" > /run/lie.py
mount --bind /run/lie.py {labkit.grade.__path__[0]}/marking.py
mount --bind /run/lie.py {labkit.grade.__path__[0]}/mark.py
mount --bind /bin/true {sys.executable}
mount -t tmpfs none /proc
'''
subprocess.run(["sh", "-c", script], check=True)
"""
TRACING = """
import subprocess, threading, time, pathlib
seen = set()
def look():
    while True:
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.add(path.read_bytes().replace(b"\\0", b" ").decode(errors="replace"))
            except OSError:
                pass
        time.sleep(0.05)
threading.Thread(target=look, daemon=True).start()
"""
WRITTEN_LINE = "open('/dev/ttyS0', 'wb', buffering=0).write(b'\\x0c\\x00\\x00\\x00\\x01' * 1000)"
POWERED_OFF = "import ctypes; ctypes.CDLL(None).reboot(0x4321FEDC)"
PANICKED = """
import mmap
open('/proc/sys/vm/panic_on_oom', 'w').write('2')
at_once = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
pieces = [mmap.mmap(-1, 64 * 2**20, flags=at_once) for _ in range(64)]
"""
STOPPED_AGENT = """
import os
os.mkdir('/sys/fs/cgroup/still')
open('/sys/fs/cgroup/still/cgroup.procs', 'w').write('1')
open('/sys/fs/cgroup/still/cgroup.freeze', 'w').write('1')
"""
ENDLESS = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
FORKING = "import os\nwhile True:\n    os.fork()"
LEFT_FORKING = """
import subprocess
subprocess.Popen("bomb() { bomb | bomb & }; bomb", shell=True, stderr=subprocess.DEVNULL)
"""
KILLED_PARENT = "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"
KILLED_LATER = "import os, threading; threading.Timer(0.5, os._exit, [0]).start()"
ENDED_BEFORE_IDLE = """
import os, time
kernel = get_ipython().kernel
def leave():
    time.sleep(0.5)  # the reply is on its way
    os._exit(0)
kernel.post_handler_hook = leave
"""
SHORT = ("--cell-limit=8",)


@pytest.fixture
def course(jupyter_data, tmp_path):
    return CourseRoot(tmp_path / "course", jupyter_data)


def test_what_a_notebook_does_to_its_own_interpreter_and_guest_marks_nothing(course):
    attacks = (LYING_MODULES, SILENT_DISPLAY, FORGED_RESULTS, CAPTURED_OUTPUT, TRACING, COVERED_FILES)
    cells = course.run("1 + 1", *attacks, WRONG, CHECK, course.right, CHECK, "1 + 1", "print(sorted(seen))")
    wrong, right = (cell for cell in cells if cell.source == CHECK)
    assert [error_name(cell) for cell in cells] == [None] * len(cells)
    assert (points(wrong), points(right)) == (0.0, POINTS)
    assert [output.output_type for output in right.outputs] == ["execute_result"]
    assert "labkit.session.furnished" in text(cells[-1]), "the look-out saw nothing at all"
    assert "labkit.grade.marking" not in text(cells[-1])


READING = """
import pathlib, subprocess
def attempt(command):
    print(subprocess.run(["sh", "-c", command], capture_output=True, text=True).stdout, end="")
root = {root!r}
attempt("mount -o remount,rw /; mkdir -p /run/new")
for folder in (root, root + "/autograded/bob/lesson", str(pathlib.Path.home()), "/", "/proc"):
    attempt(f"mount -t hostfs none /run/new -o {{folder}}; cd /run/new; cat secret gradebook.db lesson.ipynb")
    attempt("cd /run/new; cat autograded/bob/lesson/lesson.ipynb .bashrc .profile 1/environ self/environ; ls")
    attempt("cd /run/new; rm -f secret gradebook.db; echo 2 > mark; chmod 777 . secret gradebook.db")
    attempt("umount /run/new")
attempt(f"cat {{root}}/secret {{root}}/gradebook.db {{root}}/autograded/bob/lesson/*; cat ../../bob/lesson/*")
attempt("cat data.txt")
"""
JOB = """
from labkit.guest.jobs import Job, JobPool
script = "mount -t hostfs none /mnt -o {root}; cd /mnt; cat secret gradebook.db; ls; echo x > new; echo ran"
with JobPool(1) as pool:
    print(pool.submit(Job("theft", ("sh", "-c", script))).result().decode())
"""
WRITING = """
import os
open("data.txt", "a").write(" and more"), open("new", "w").write("mine")
print(open("data.txt").read(), sorted(os.listdir(".")))
for path in ("large", "/tmp/large", os.path.expanduser("~/large")):
    try:
        with open(path, "wb") as file:
            for _ in range(200):
                file.write(bytes(2**20))
        print("written")
    except OSError as error:
        print(error.strerror)
        os.unlink(path)
"""


def test_of_the_host_it_can_read_its_own_folder_and_change_nothing(course):
    before = course.files
    root = str(course.root)
    cells = course.run(READING.format(root=root), JOB.format(root=root), WRITING, course.right, CHECK)
    assert course.files == before
    assert stdout(cells[0]) == "given"
    assert stdout(cells[1]) == "ran\n\n"
    lines = stdout(cells[2]).splitlines()
    assert lines[0] == "given and more ['data.txt', 'new']"
    assert lines[1:] == ["No space left on device"] * 3
    assert points(cells[-1]) == POINTS


def test_a_cell_that_ends_its_kernel_or_guest_costs_itself(course):
    cells = course.run(
        "kept = 1",
        "import os; os._exit(0)",
        CHECK,
        course.right,
        POWERED_OFF,
        "kept",
        CHECK,
        KILLED_PARENT,
        "kept",
    )
    assert [error_name(cell) for cell in cells[:6]] == [
        *(None, "CellEndedItsGuest", None, None, "CellEndedItsGuest", None)
    ]
    assert (points(cells[2]), points(cells[6])) == (0.0, POINTS)
    assert error_name(cells[8]) is None, "the cell before it had killed the kernel"
    assert "1" in text(cells[8])


@pytest.mark.slow
@pytest.mark.parametrize(
    "attack",
    [ENDLESS, FORKING, STOPPED_AGENT, PANICKED, WRITTEN_LINE],
    ids=["endless loop", "fork bomb", "silent line", "panic", "garbage on the line"],
)
def test_a_cell_that_does_not_end_or_takes_the_guest_with_it_costs_itself(course, attack):
    cells = course.run("kept = 1", attack, "kept", course.right, CHECK, options=SHORT)
    assert error_name(cells[1]) in {"CellEndedItsGuest", "CellTookTooLong"}
    assert [error_name(cell) for cell in cells[2:]] == [None] * 3
    assert points(cells[-1]) == POINTS


@pytest.mark.slow
@pytest.mark.parametrize("attack", [LEFT_FORKING, KILLED_LATER], ids=["fork bomb", "late end"])
def test_what_a_cell_leaves_behind_costs_at_most_one_more(course, attack):
    rest = ("kept", "kept + 1", "kept + 2")
    cells = course.run("kept = 1", attack, *rest, course.right, CHECK, options=SHORT)
    assert sum(error_name(cell) is not None for cell in cells[2:]) <= 1
    assert points(cells[-1]) == POINTS


@pytest.mark.slow
def test_a_guest_that_ends_between_a_reply_and_the_end_of_its_output_left_nothing_out(course):
    cells = course.run("kept = 1", ENDED_BEFORE_IDLE, "kept", course.right, CHECK)
    assert stdout(cells[1]) == ""
    assert [error_name(cell) for cell in cells[2:]] == [None] * 3
    assert points(cells[-1]) == POINTS


@pytest.mark.slow
def test_a_notebook_that_goes_on_ending_guests_is_given_up(course):
    cells = course.run(*["import os; os._exit(0)"] * 7, course.right, CHECK)
    assert error_name(cells[-2]) == error_name(cells[-1]) == "NotebookGivenUp"
    assert points(cells[-1]) == 0.0


@pytest.mark.slow
def test_more_output_than_a_notebook_can_hold_is_left_out(course):
    cells = course.run("for _ in range(100): print('x' * 2**20)", "print('next')", course.right, CHECK)
    assert len(text(cells[0])) < 10 * 2**20
    assert "is left out" in stdout(cells[0])
    assert stdout(cells[1]) == "next\n"
    assert points(cells[-1]) == POINTS
