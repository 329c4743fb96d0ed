"""The guest: how soon it is there, and what is started in it, beside its kernel alone and native programs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labkit.bench.benchmark import Benchmark, Contenders, Target
from labkit.bench.stopwatch import wall_s
from labkit.errors import CapabilityError, GuestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.experiment import Experiment
    from labkit.guest.capabilities import Linux

_PYTHON = (sys.executable, "-m")
# `labkit exec` needs a Python in the guest: that is its limit. The shortest init that can be is a peer.
_HALTED = "its kernel, halted by a one-line init in Python"
_KERNEL_ALONE = "its kernel, halted by an init of one system call"
_NATIVE = "a native ipykernel"
_LAST_CHARACTERS = 300


@contextmanager
def _exec() -> Iterator[Contenders]:
    from labkit.bench.bareboot import boot_and_halt, boot_kernel_alone

    peers = {"packaged guest": _exec_packaged, _KERNEL_ALONE: boot_kernel_alone}
    yield Contenders(lambda: _run_s("labkit", "exec", "--", "true"), boot_and_halt, peers)


@contextmanager
def _boot() -> Iterator[Contenders]:
    from labkit.bench.bareboot import boot_to_first_byte
    from labkit.guest.capabilities import choose_linux

    linux = choose_linux()
    yield Contenders(lambda: _boot_to_agent(linux), boot_to_first_byte)


@contextmanager
def _job() -> Iterator[Contenders]:
    from labkit.bench.bareboot import boot_and_halt

    yield Contenders(_run_job, boot_and_halt)


@contextmanager
def _experiment() -> Iterator[Contenders]:
    from labkit.bench.bareboot import boot_and_halt
    from labkit.experiment import Experiment
    from labkit.traffic.workload import Workload

    one = Experiment.of("web", workload=Workload(connections=1))
    yield Contenders(lambda: _run_experiment(one), boot_and_halt)


@contextmanager
def _notebook() -> Iterator[Contenders]:
    from labkit.bench.jupyterkernels import new_kernels

    with new_kernels() as kernels:
        yield Contenders(lambda: kernels.ready_s("labkit"), lambda: kernels.ready_s("native"))


@contextmanager
def _first_cell() -> Iterator[Contenders]:
    from labkit.bench.jupyterkernels import new_kernels

    with new_kernels() as kernels:
        yield Contenders(lambda: kernels.first_cell_s("labkit"), lambda: kernels.first_cell_s("native"))


@contextmanager
def _virtual_demo() -> Iterator[Contenders]:
    with tempfile.TemporaryDirectory() as folder:
        yield Contenders(lambda: _run_s("labkit", "demo", "--virtual-time", "--output", folder))


def _run_s(*arguments: str) -> float:
    """Return the seconds that `python -m ARGUMENTS` takes. Raises GuestError when it fails."""

    def run() -> None:
        command = (*_PYTHON, *arguments)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip()[-_LAST_CHARACTERS:]
            raise GuestError(f"{' '.join(arguments)} ended with status {done.returncode}", where=words)

    return wall_s(run)


def _exec_packaged() -> float:
    from labkit.guest.candidates import PACKAGED, list_candidates
    from labkit.guest.capabilities import INSTALL_UML

    if not any(one.name == PACKAGED for one in list_candidates(os.environ)):
        raise CapabilityError("Debian's user-mode-linux is not installed", todo=INSTALL_UML)
    return _run_s("labkit", "exec", "--guest", PACKAGED, "--", "true")


def _boot_to_agent(linux: Linux) -> float:
    from labkit.guest.run import Guest

    begun = time.monotonic()
    with Guest.boot(linux):
        return time.monotonic() - begun


def _run_job() -> float:
    from labkit.guest.jobs import Job, JobPool

    job = Job(name="nothing", argv=("true",))
    with JobPool(1) as pool:
        return wall_s(lambda: pool.submit(job).result())


def _run_experiment(experiment: Experiment) -> float:
    from labkit.experiment import run

    return wall_s(lambda: run(experiment))


_UNDER_A_SECOND = Target("ours", "<=", 1.0)
BENCHMARKS = (
    Benchmark(
        name="exec",
        work="labkit exec -- true",
        unit="s",
        better="lower",
        contenders=_exec,
        limit_is=_HALTED,
        targets=(Target("of_limit", "<=", 2.0), _UNDER_A_SECOND),
        rounds=9,
        peer_rounds=5,
    ),
    Benchmark(
        name="boot",
        work="from starting a guest to its agent's greeting",
        unit="s",
        better="lower",
        contenders=_boot,
        limit_is="its kernel, to a one-line init's first byte",
        rounds=9,
    ),
    Benchmark(
        name="job",
        work="a job that does nothing, in a fresh guest",
        unit="s",
        better="lower",
        contenders=_job,
        limit_is=_HALTED,
        targets=(_UNDER_A_SECOND,),
        rounds=9,
    ),
    Benchmark(
        name="experiment",
        work="an experiment of one connection: its guest, its cluster, its result",
        unit="s",
        better="lower",
        contenders=_experiment,
        limit_is=_HALTED,
        targets=(_UNDER_A_SECOND,),
    ),
    Benchmark(
        name="notebook",
        work="the notebook kernel, to its kernel_info reply",
        unit="s",
        better="lower",
        contenders=_notebook,
        limit_is=_NATIVE,
        targets=(Target("of_limit", "<=", 2.5),),
    ),
    Benchmark(
        name="first-cell",
        work="the notebook kernel, to its first cell's reply",
        unit="s",
        better="lower",
        contenders=_first_cell,
        limit_is=_NATIVE,
        targets=(Target("of_limit", "<=", 2.5),),
    ),
    Benchmark(
        name="virtual-demo",
        work="labkit demo --virtual-time, a minute each",
        unit="s",
        better="lower",
        contenders=_virtual_demo,
        targets=(Target("ours", "<=", 90.0),),
        rounds=1,
        warm_ups=0,
        on_request=True,
    ),
)
