"""`labkit shell`: build a lab and open a shell in it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from labkit.cli.exec import end_with
from labkit.cli.memory import parse_memory_mb
from labkit.cli.options import DEFAULT_MEMORY, GuestOption, MemoryOption
from labkit.cli.progress import progress_display
from labkit.errors import RequestError
from labkit.spec.clab import is_clab_file

MODE, SCHEDULER = "iptables", "rr"


def shell(
    manifest: Annotated[
        list[str] | None,
        typer.Argument(help="Kubernetes manifests, the names of shipped labs, or one containerlab file."),
    ] = None,
    mode: Annotated[str, typer.Option(help="iptables, nftables or ipvs.")] = MODE,
    scheduler: Annotated[str, typer.Option(help="IPVS mode's scheduler.")] = SCHEDULER,
    guest: GuestOption = None,
    memory: MemoryOption = DEFAULT_MEMORY,
) -> None:
    """Build the lab of the manifests and open a shell in it; it ends with the shell's own status.

    Without a manifest the shell is in an empty Linux. `ip netns` shows nodes and pods. Of a containerlab
    file, NAME.clab.yml, the topology is built, and the shell is where containerlab's host would be.
    """
    if manifest and any(map(is_clab_file, manifest)):
        end_with(lambda: _topology_shell(manifest, (mode, scheduler), guest, memory))
    if manifest:
        end_with(lambda: _lab_shell(manifest, mode, scheduler, guest, memory))
    end_with(lambda: _empty_shell(guest, memory))


def _empty_shell(guest: str | None, memory: str) -> NoReturn:
    from labkit.guest.rerun import run_inside

    run_inside(user_shell(), guest, parse_memory_mb(memory))


def _lab_shell(manifests: list[str], mode: str, scheduler: str, guest: str | None, memory: str) -> None:
    from labkit.guest.rerun import rerun_inside
    from labkit.lab import Lab
    from labkit.spec.cluster import read_manifests

    read_manifests(manifests)  # mistakes are said before anything is started
    rerun_inside(sys.argv[1:], guest, memory_mb=parse_memory_mb(memory))
    with progress_display("building the lab") as on_progress:
        lab = Lab.open(*manifests, mode=mode, scheduler=scheduler, on_progress=on_progress)
    with lab:
        status = shell_in(str(lab))
    raise SystemExit(status)


def _topology_shell(files: list[str], programmed: tuple[str, str], guest: str | None, memory: str) -> None:
    from labkit.fabric.topology import build_topology
    from labkit.guest.rerun import rerun_inside
    from labkit.spec.clab import read_clab

    if len(files) > 1:
        raise RequestError("a containerlab file stands alone", todo="name it, and nothing beside it")
    if programmed != (MODE, SCHEDULER):
        raise RequestError(
            "a containerlab file has its own rules", todo="write another: labkit clab MANIFEST --mode MODE"
        )
    file = Path(files[0])
    topology = read_clab(file, os.environ)  # mistakes are said before anything is started
    rerun_inside(sys.argv[1:], guest, memory_mb=parse_memory_mb(memory))
    with progress_display("building the topology") as on_progress:
        live = build_topology(topology, file.resolve().parent, on_progress=on_progress)
    with live:
        status = shell_in(str(live))
    raise SystemExit(status)


def shell_in(introduction: str) -> int:
    """Say what was built and open the user's shell; return its status as shells count it."""
    sys.stderr.write(f"{introduction}\n")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the shell's and its commands'
    done = subprocess.run(user_shell(), preexec_fn=_heed_interrupts, check=False)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def user_shell() -> tuple[str, ...]:
    """Return the command that starts the user's shell; bash gets a start-up file of the lab's own."""
    shell = shutil.which(os.environ.get("SHELL") or "bash") or "/bin/sh"
    own_file = Path(__file__).with_name("lab.bashrc")
    return (shell, "--rcfile", str(own_file)) if Path(shell).name == "bash" else (shell,)
