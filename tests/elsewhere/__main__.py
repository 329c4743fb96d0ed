"""labkit in another Debian, from its wheels, as an unprivileged pod: `python3 tests/elsewhere` (as root).

The root has no user-mode-linux and a newer Python and C library than this project is made with. It stays in
out/elsewhere for the next time; labkit and what it depends on are installed anew each time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from elsewhere.root import (
    SANDBOX_PACKAGES,
    lab_packages,
    make_root,
    mount_system,
    pip_environment,
    require_root,
    run_in,
)

TREE = Path(__file__).resolve().parents[2]
SOURCES = ("labkit", "guest-kernel", "pyproject.toml", "README.md", "LICENSE")
WHEELS, VENV, SANDBOX, WORK = "srv/wheels", "/srv/venv", "/srv/sandbox", "/srv/work"
LABKIT, JUPYTER = f"{VENV}/bin/labkit", f"{VENV}/bin/jupyter"
DEADLINE_S = 300
INSIDE = "LABKIT_ELSEWHERE"


@dataclass(frozen=True)
class Check:
    """A command that an unprivileged user runs there, and what must be true of its output."""

    command: tuple[str, ...]
    holds: Callable[[str], bool]


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def demo_answered(root: Path) -> bool:
    results = json.loads((root / "srv/work/demo/results.json").read_text())
    return {run["mode"] for run in results["runs"]} == {"iptables", "nftables", "ipvs"} and all(
        run["answered"] == run["connections"] for run in results["runs"]
    )


def lesson_answered(root: Path) -> bool:
    cells = json.loads((root / "srv/work/run.ipynb").read_text())["cells"]
    return any(cell.get("outputs") for cell in cells)


def checks(root: Path) -> tuple[Check, ...]:
    notebook = (JUPYTER, "nbconvert", "--execute", "--to", "notebook", "--output-dir", WORK)
    return (
        Check((LABKIT, "doctor", "--json"), lambda out: "shipped" in json.loads(out)["linux"]["why"]),
        Check((LABKIT, "exec", "--", "cat", "/run/labkit/guest"), lambda out: "kind=uml" in out),
        Check((LABKIT, "exec", "--", "iptables", "--version"), lambda out: "nf_tables" in out),
        Check((LABKIT, "exec", "--virtual-time", "--", "sleep", "3600"), lambda out: not out),
        Check((LABKIT, "demo", "--output", f"{WORK}/demo"), lambda _: demo_answered(root)),
        Check((*notebook, "--output", "run", f"{WORK}/00-the-lab.ipynb"), lambda _: lesson_answered(root)),
    )


def build_wheels(root: Path) -> None:
    """Build this tree's wheels into the root, from a copy: building leaves files behind."""
    shutil.rmtree(root / WHEELS, ignore_errors=True)
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    with tempfile.TemporaryDirectory() as copy:
        for name in SOURCES:
            source, target = TREE / name, Path(copy, name)
            if source.is_dir():
                shutil.copytree(source, target, ignore=unwanted)
            else:
                shutil.copy2(source, target)
        options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", root / WHEELS)
        subprocess.run(
            (sys.executable, "-m", "pip", "wheel", *options, ".", "./guest-kernel"), cwd=copy, check=True
        )


def install(root: Path) -> None:
    """Install the wheels and what they depend on into a new environment of the root's own Python."""
    settings = pip_environment(root)
    run_in(root, "python3", "-m", "venv", "--clear", VENV, check=True)
    wheels = [f"/{path.relative_to(root)}" for path in (root / WHEELS).glob("*.whl")]
    run_in(
        root, f"{VENV}/bin/pip", "install", "--quiet", "--quiet", *wheels, environment=settings, check=True
    )
    run_in(root, LABKIT, "session", "install", "--sys-prefix", check=True)


def bring_files(root: Path) -> None:
    """Bring the sandbox, and a folder for the user with the first lesson in it."""
    for source, target in ((TREE / "tests/sandbox", SANDBOX), (TREE / "notebooks", WORK)):
        there = root / target.lstrip("/")
        shutil.rmtree(there, ignore_errors=True)
        shutil.copytree(source, there, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "srv/work").chmod(0o777)


def perform(check: Check, root: Path) -> bool:
    """Run a check in the sandbox, say how it went, and return whether it holds."""
    begun = time.monotonic()
    done = run_in(
        root, "python3", SANDBOX, "--", *check.command, capture_output=True, timeout=DEADLINE_S, check=False
    )
    good = done.returncode == 0 and check.holds(done.stdout)
    words = " ".join(Path(word).name if word == check.command[0] else word for word in check.command)
    say(f"{'ok' if good else 'FAILED':7}{time.monotonic() - begun:6.1f} s  {words}")
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
    root = TREE / "out/elsewhere" / asked.suite
    say(f"making {root}, unless it is there")
    make_root(asked.suite, root, (*lab_packages(TREE), *SANDBOX_PACKAGES))
    mount_system(root)
    describe(root)
    say("building wheels and installing them there")
    build_wheels(root)
    install(root)
    bring_files(root)
    failed = [check for check in checks(root) if not perform(check, root)]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
