"""Fixtures that boot real guests from the host."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from guest.launches import DEADLINE_S, LABKIT, Launch


@pytest.fixture
def runtime():
    path = Path(tempfile.mkdtemp(prefix="lk-", dir="/tmp"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def launch(runtime):
    started = []

    def start(argv, **options):
        started.append(Launch(argv, runtime, **options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.communicate(timeout=DEADLINE_S)
        for file in (one.process.stdin, one.process.stdout, one.process.stderr):
            if file is not None:
                file.close()


@pytest.fixture
def labkit_exec(launch):
    def run(*command, options=(), stdin=b"", **others):
        one = launch((*LABKIT, "exec", *options, "--", *command), **others)
        out, err = one.process.communicate(stdin, timeout=DEADLINE_S)
        return one.process.returncode, out, err.decode()

    return run
