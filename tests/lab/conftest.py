"""Tests that need a real network: they run inside the lab's Linux, and refuse to touch any other."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from labkit.guest.info import current


@pytest.fixture(scope="session", autouse=True)
def _inside_the_lab():
    if current() is None:
        pytest.exit(
            "tests/lab works on real networks and runs in the lab's Linux only:\n"
            "labkit exec -- python -m pytest tests/lab",
            returncode=3,
        )


def what_a_lab_holds() -> dict[str, set[str]]:
    """Return what a lab must give back: names of namespaces, threads, descriptors and child processes."""
    names = Path("/run/netns")
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    return {
        "namespaces": {path.name for path in names.iterdir()} if names.is_dir() else set(),
        "mounts": {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
        - {str(names)},
        "threads": {thread.name for thread in threading.enumerate()},
        "descriptors": {
            link
            for link in map(_target, Path("/proc/self/fd").iterdir())
            if "net:" in link or "socket:" in link
        },
        "children": set(children.read_text().split()) if children.exists() else set(),
    }


def _target(descriptor: Path) -> str:
    try:
        return f"{descriptor.name} {descriptor.readlink()}"
    except FileNotFoundError:  # the one that listed the others
        return ""


@pytest.fixture
def nothing_left():
    """Fail the test if anything that it made is still there at its end."""
    before = what_a_lab_holds()
    yield
    after = what_a_lab_holds()
    assert {kind: after[kind] - before[kind] for kind in after} == {kind: set() for kind in after}
