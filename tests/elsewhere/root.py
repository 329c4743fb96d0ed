"""Another Debian in a folder: debootstrapped, and entered with mounts of its own.

Where packages come from is read from this machine when it runs: the mirror from apt's configuration, the
index from pip's.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# A Python in place of conda's, and what the sandbox needs; everything else is the recipe's.
BASE_PACKAGES = ("python3-venv", "libseccomp2")
COMPLETE = ".complete"
RESOLVER = ("/etc/resolv.conf", "/etc/hosts")
PIP_SECTIONS = ("global", "install", ":env:")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def require_root() -> None:
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        sys.exit("elsewhere: it needs root and debootstrap (make test-elsewhere installs it)")


def debian_mirror() -> str:
    """Return where apt gets Debian from."""
    asked = ("apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Label: Debian")
    found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    if not found:
        sys.exit("elsewhere: apt knows no mirror of Debian here (after apt-get update it may)")
    return found[0]


def make_root(suite: str, root: Path, packages: tuple[str, ...] = BASE_PACKAGES) -> None:
    """Debootstrap `suite` into `root`, unless it is there; what was cut off is made anew."""
    wanted = " ".join(packages)
    if (root / COMPLETE).exists() and (root / COMPLETE).read_text() == wanted:
        return
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    options = ("--variant=minbase", f"--include={','.join(packages)}")
    with (root.parent / f"{suite}.log").open("w") as log:
        command = ("debootstrap", *options, suite, str(root), debian_mirror())
        if subprocess.run(command, stdout=log, stderr=log, check=False).returncode:
            sys.exit(f"elsewhere: debootstrap failed: {log.name} tells why")
    run_in(root, "apt-get", "clean")
    shutil.rmtree(root / "var/lib/apt/lists")
    (root / COMPLETE).write_text(wanted)


def copy_root(base: Path, root: Path) -> None:
    """Make `root` a fresh copy of `base`: what an image was built in before goes."""
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(("cp", "--archive", "--reflink=auto", base, root), check=True)


def mount_system(root: Path) -> None:
    """Make the root a file system of its own with /proc, /sys and /dev, in this process's mount namespace."""
    subprocess.run(("mount", "--bind", root, root), check=True)
    subprocess.run(("mount", "-t", "proc", "proc", root / "proc"), check=True)
    for name in ("sys", "dev"):
        subprocess.run(("mount", "--rbind", f"/{name}", root / name), check=True)
    for path in map(Path, RESOLVER):
        if path.exists():
            _bind(path, root)


def pip_environment(root: Path) -> dict[str, str]:
    """Return this machine's pip configuration as variables; the files it names are there in the root too."""
    settings = {}
    command = (sys.executable, "-m", "pip", "config", "list")
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in PIP_SECTIONS:
            settings["PIP_" + name.upper().replace("-", "_")] = ast.literal_eval(value)
    words = [word for value in settings.values() for word in value.split()]
    # An index in a folder may name files that stand beside it.
    indexes = [Path(word.removeprefix("file://")).parent for word in words if word.startswith("file:///")]
    for path in (*map(Path, words), *indexes):
        if path.is_absolute() and path.exists():
            _bind(path, root)
    return settings | {name: os.environ[name] for name in PROXIES if name in os.environ}


def _bind(path: Path, root: Path) -> None:
    there = root / path.relative_to("/")
    if path.is_dir():
        there.mkdir(parents=True, exist_ok=True)
    else:
        there.parent.mkdir(parents=True, exist_ok=True)
        there.touch()
    subprocess.run(("mount", "--bind", path, there), check=True)
    subprocess.run(("mount", "-o", "remount,ro,bind", there), check=True)


def size_mb(root: Path) -> float:
    """Return how much of the disk the root's own files take, in MB (10^6 bytes, as images are measured)."""
    with tempfile.TemporaryDirectory() as view:  # without what is mounted in it: a bind takes no mounts along
        subprocess.run(("mount", "--bind", root, view), check=True)
        try:
            command = ("du", "--summarize", "--block-size=1", view)
            counted = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        finally:
            subprocess.run(("umount", view), check=True)
    return int(counted.split()[0]) / 1e6


def run_in(root: Path, *command: str, environment: dict[str, str] | None = None, check=True, **options):
    """Run a command in the root with an environment of nothing but PATH and what is given."""
    return subprocess.run(
        ("chroot", root, *command),
        env={"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/root", **(environment or {})},
        text=True,
        check=check,
        **options,
    )
