"""`labkit doctor`: which Linux the lab will use and why, what it can do, what is missing."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labkit.cli.options import GuestOption
from labkit.errors import CapabilityError, GuestError, LabError

if TYPE_CHECKING:
    from labkit.guest.capabilities import Linux

# Where the lab runs, by what, and whether that was tried: the README's table is this one.
PLATFORMS = (
    (
        "Linux on amd64",
        "User-Mode Linux (shipped), or the host's own kernel where it has ip_vs and lets you use it",
        "Debian 12, as root and as another user; Debian 13 as another user; a host's own ip_vs: no",
    ),
    (
        "Docker and pods on amd64",
        "User-Mode Linux; no --privileged",
        "their limits (rights, seccomp, /dev/shm) in the tests' sandbox; a real container: no",
    ),
    (
        "Windows with WSL2",
        "User-Mode Linux",
        "no",
    ),
    (
        "GitHub Codespaces",
        "User-Mode Linux",
        "the kernel as VS Code starts it; Codespaces itself: no",
    ),
    (
        "Binder",
        "User-Mode Linux",
        "its image's steps in Debian 12 and 13, labs there in the tests' sandbox; Binder itself: no",
    ),
    (
        "arm64, Apple Silicon",
        "none: no User-Mode Linux there. Use Codespaces, or a Linux VM whose kernel has ip_vs",
        "no",
    ),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What doctor found. `todo` is the one command that helps, `problem` empty when a lab can run."""

    linux: dict[str, Any]
    guest: dict[str, Any]
    capabilities: dict[str, Any]
    problem: str
    where: str
    todo: str

    @property
    def can_run(self) -> bool:
        """Whether a lab can run here."""
        return not self.problem


def doctor(
    guest: GuestOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say which Linux the lab will use and why, and what is missing; end with 0 if a lab can run, else 3."""
    finding = examine(guest)
    if as_json:
        platforms = [dict(zip(("platform", "linux", "tried"), row, strict=True)) for row in PLATFORMS]
        typer.echo(
            json.dumps({"can_run": finding.can_run, **asdict(finding), "platforms": platforms}, indent=2)
        )
    else:
        typer.echo("\n".join(describe(finding)))
    raise typer.Exit(0 if finding.can_run else CapabilityError.exit_status)


def examine(request: str | None) -> Finding:
    """Choose a Linux, boot it and ask it what it can do."""
    from labkit.guest.capabilities import choose_linux

    linux: dict[str, Any] = {}
    try:
        chosen = choose_linux(request)
        linux = chosen._asdict()
        guest, capabilities = ask_linux(chosen)
    except LabError as error:
        return Finding(linux, {}, {}, error.message, error.where, error.todo)
    problem, where, todo = judge(capabilities)
    return Finding(linux, guest, capabilities, problem, where, todo)


def describe(finding: Finding) -> list[str]:
    """Return the findings as the lines a user reads."""
    lines = [f"this machine   {platform.machine()}, Linux {platform.uname().release}, uid {os.geteuid()}"]
    if finding.linux:
        lines.append(f"the lab's Linux {finding.linux['kind']}: {finding.linux['why']}")
    if finding.guest:
        guest = finding.guest
        lines.append(f"it booted      Linux {guest['release']}, {guest['cpus']} CPU, {guest['memory_mb']} MB")
    lines += _describe_capabilities(finding.capabilities)
    lines.append("")
    if finding.can_run:
        lines.append("A lab can run here.")
    else:
        lines.append(f"No lab can run here: {finding.problem}")
    if finding.where:
        lines.append(f"  where: {finding.where}")
    if finding.todo:
        lines.append(f"  to do: {finding.todo}")
    lines += ["", "Platforms:"]
    lines += [f"  {name:<25} {what} (tried: {tried})" for name, what, tried in PLATFORMS]
    return lines


def _describe_capabilities(found: dict[str, Any]) -> list[str]:
    if not found:
        return []
    yes_no = {True: "yes", False: "no"}
    features = (
        ("iptables", "iptables_legacy"), ("ipset", "ipset"), ("netem", "netem"), ("TRACE", "trace"),
        ("nf_tables (nftables mode)", "nf_tables"),
    )  # fmt: skip
    return [
        f"IPVS           {len(found['schedulers'])} schedulers: {' '.join(found['schedulers']) or 'none'}",
        f"links          {' '.join(found['link_kinds']) or 'none'}",
        "has            " + ", ".join(f"{name}: {yes_no[found[key]]}" for name, key in features),
    ]


def ask_linux(linux: Linux) -> tuple[dict[str, Any], dict[str, Any]]:
    """Boot a Linux and return what it says of itself and what it can do. Raises LabError."""
    from labkit.guest.capture import run_and_capture
    from labkit.guest.info import current
    from labkit.guest.run import Guest

    here = current()
    argv = (sys.executable, "-m", "labkit.guest.probe")
    if here is not None:
        probe = subprocess.run(argv, capture_output=True, check=True)
        return here._asdict(), json.loads(probe.stdout)
    with Guest.boot(linux) as guest:
        answer = run_and_capture(guest, argv)
        if answer.wait_status != 0 or guest.info is None:
            raise GuestError(
                "the guest could not be probed", where=answer.errors.decode(errors="replace").strip()
            )
        return guest.info._asdict(), json.loads(answer.output)


def judge(found: dict[str, Any]) -> tuple[str, str, str]:
    """Return the problem (empty: a lab can run), where it is, and the command that helps."""
    packages = sorted(set(found["missing_tools"].values()))
    install = f"sudo apt-get install {' '.join(packages)}" if packages else ""
    lacking = [name for name, key in (("iptables", "iptables_legacy"), ("ipset", "ipset")) if not found[key]]
    lacking += ["IPVS"] if "rr" not in found["schedulers"] else []
    lacking += [kind for kind in ("dummy", "veth", "bridge") if kind not in found["link_kinds"]]
    where = f"programs not found: {', '.join(found['missing_tools'])}" if packages else ""
    if lacking:
        todo = install or "use User-Mode Linux: --guest uml"
        return f"the lab's Linux lacks {', '.join(lacking)}", where, todo
    return "", where, install
