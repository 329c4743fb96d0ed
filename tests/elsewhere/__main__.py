"""The images' recipe in another Debian, and a lab in it as a pod: `python3 tests/elsewhere` (as root).

The base has no user-mode-linux; its Python and C library are the suite's own. It stays in out/elsewhere for
the next time; the image in a copy of it is built anew each time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from elsewhere import recipe
from elsewhere.recipe import HOME, UID, USER, USER_PATH
from elsewhere.root import copy_root, make_root, mount_system, require_root, run_in, size_mb
from labkit.course.lesson import notebook_text, plan_notebook

TREE = Path(__file__).resolve().parents[2]
LESSON = "00-the-lab"
SANDBOX, SOLVED, VOLUME = "/srv/sandbox", "/srv/solved", "/srv/volume"
MEMORY_MB = 2048
DEADLINE_S = 300
INSIDE = "LABKIT_ELSEWHERE"


@dataclass(frozen=True)
class Check:
    """A container's command with its home folder, and what must be true of its output."""

    command: tuple[str, ...]
    holds: Callable[[str], bool]
    home: str = HOME


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def demo_answered(root: Path) -> bool:
    results = json.loads((root / HOME.lstrip("/") / "out/demo/results.json").read_text())
    return {run["mode"] for run in results["runs"]} == {"iptables", "nftables", "ipvs"} and all(
        run["answered"] == run["connections"] for run in results["runs"]
    )


def lesson_answered(root: Path) -> bool:
    cells = json.loads((root / HOME.lstrip("/") / "run.ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]
    return (
        all(cell["execution_count"] for cell in code)
        and any(
            "image/svg+xml" in one.get("data", {}) or "text/html" in one.get("data", {}) for one in outputs
        )
        and not any(one["output_type"] == "error" or one.get("name") == "stderr" for one in outputs)
    )


def checks(root: Path) -> tuple[Check, ...]:
    notebook = ("jupyter", "nbconvert", "--execute", "--to", "notebook", "--output-dir", HOME)
    return (
        Check(("labkit", "doctor", "--json"), lambda out: "shipped" in json.loads(out)["linux"]["why"]),
        Check(("labkit", "exec", "--", "cat", "/run/labkit/guest"), lambda out: "kind=uml" in out),
        Check(("labkit", "exec", "--", "iptables", "--version"), lambda out: "nf_tables" in out),
        Check(("labkit", "exec", "--virtual-time", "--", "sleep", "3600"), lambda out: not out),
        Check(("labkit", "demo"), lambda _: demo_answered(root)),
        Check((*notebook, "--output", "run", f"{SOLVED}/{LESSON}.ipynb"), lambda _: lesson_answered(root)),
        # A hub's pod: an empty volume is the home folder.
        Check(("sh", "-c", "ls ~/notebooks"), lambda out: f"{LESSON}.ipynb" in out, VOLUME),
        Check(("labkit", "exec", "--", "ip", "link"), lambda out: "lo" in out, VOLUME),
    )


def build_image(base: Path, root: Path) -> None:
    """Carry out the recipe in a copy of the base, saying what each step adds to the image."""
    asked = recipe.read_recipe(TREE)
    sizes = [size_mb(base)]
    say(f"{sizes[0]:7.1f} MB  the suite's minimal system with Python")

    def step(what: str, *made: Callable[[], None]) -> None:
        begun = time.monotonic()
        for make in made:
            make()
        sizes.append(size_mb(root))
        say(f"{sizes[-1] - sizes[-2]:7.1f} MB  {what} ({time.monotonic() - begun:.0f} s)")

    copy_root(base, root)
    mount_system(root)
    run_in(root, "useradd", "--uid", str(UID), "--create-home", "--shell", "/bin/bash", USER, check=True)
    step("apt.txt", lambda: recipe.install_debian_packages(asked, root))
    step("the repository", lambda: recipe.copy_repository(TREE, root))
    step("environment.yml's pip part", lambda: recipe.make_environment(asked, root))
    step("postBuild", lambda: recipe.run_post_build(root))
    say(f"{sizes[-1]:7.1f} MB  in all")


def bring_files(root: Path) -> None:
    """Bring the sandbox, the first lesson with its solution, and a folder in place of a hub's volume."""
    run_in(root, "mkdir", "-p", SANDBOX, SOLVED, VOLUME, check=True)
    for path in (TREE / "tests/sandbox").glob("*.*"):
        (root / SANDBOX.lstrip("/") / path.name).write_bytes(path.read_bytes())
    solved = notebook_text(plan_notebook(TREE / f"notebooks/source/{LESSON}.py"))
    (root / SOLVED.lstrip("/") / f"{LESSON}.ipynb").write_text(solved)


def perform(check: Check, root: Path) -> bool:
    """Run a check as a container of the image, say how it went, and return whether it holds."""
    begun = time.monotonic()
    limits = ("--uid", str(UID), "--home", check.home, "--read-only", "--memory", str(MEMORY_MB))
    container = ("env", "-C", HOME, f"PATH={USER_PATH}", f"REPO_DIR={HOME}", f"{HOME}/start", *check.command)
    done = run_in(
        root,
        "python3",
        SANDBOX,
        *limits,
        "--",
        *container,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    good = done.returncode == 0 and check.holds(done.stdout)
    say(f"{'ok' if good else 'FAILED':7}{time.monotonic() - begun:6.1f} s  {' '.join(check.command)}")
    if not good:
        say(f"status {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return good


def describe(root: Path) -> None:
    """Say what kind of system that is."""
    facts = "import platform as p; print('Python', p.python_version() + ',', *p.libc_ver())"
    run_in(root, "sh", "-c", f'. /etc/os-release; echo "$PRETTY_NAME"; python3 -c "{facts}"', check=True)
    if (root / "usr/bin/linux.uml").exists():
        sys.exit("elsewhere: user-mode-linux is installed there")


def main() -> int:
    parser = argparse.ArgumentParser(prog="elsewhere", description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="trixie", help="a release of Debian (default: trixie, Debian 13)")
    asked = parser.parse_args()
    require_root()
    if INSIDE not in os.environ:  # mounts and processes of its own: nothing of it can stay
        own = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
        os.execvpe(own[0], (*own, sys.executable, *sys.orig_argv[1:]), {**os.environ, INSIDE: "1"})
    base = TREE / "out/elsewhere" / asked.suite
    root = base.with_name(f"{asked.suite}-image")
    say(f"making {base}, unless it is there")
    make_root(asked.suite, base)
    describe(base)
    build_image(base, root)
    bring_files(root)
    failed = [check for check in checks(root) if not perform(check, root)]
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"elsewhere: a step of the recipe failed: {error}")
