"""The commands of a topology's nodes, run in their network namespaces with their environment and binds.

They are the lab's own Linux's commands, as root: a node has no image. Its binds are there for its commands
only, in a mount namespace that ends with each of them; a target must exist already, so that nothing is made
on the disk.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import BuildError, RequestError
from labkit.record import Record
from labkit.spec.topology import command_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.fabric.namespace import Completed, Namespace
    from labkit.spec.topology import Bind, Topology, TopologyNode

# /sys shows the network namespace that it was mounted in; where it may not be mounted, it stays the host's.
_MOUNTING = """
mount -t sysfs sysfs /sys 2>/dev/null
while [ "$1" != -- ]; do
    mount --bind "$1" "$2" || exit 125
    if [ "$3" = ro ]; then mount -o remount,bind,ro "$2" || exit 125; fi
    shift 3
done
shift
exec "$@"
"""
_OWN_MOUNTS = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _MOUNTING, "sh")


class Outcome(Record):
    """How a node's command ended. `complaint` is "" where its status is 0."""

    node: str
    command: str
    status: int
    complaint: str

    def __str__(self) -> str:
        return f"{self.node}: {self.command}: {self.complaint}"


class Binds:
    """What of a topology's binds is there: sources must be, targets that are not are left out and named."""

    def __init__(self, topology: Topology, folder: Path) -> None:
        """Look for them; relative sources stand in `folder`. RequestError names every one that is missing."""
        self._folder = folder
        missing = [
            f"{node.name}: {bind.source}"
            for node in topology.nodes
            for bind in node.binds
            if not self._source(bind).exists()
        ]
        if missing:
            raise RequestError(
                "binds name what is not there:\n" + "\n".join(dict.fromkeys(missing)),
                where=f"relative ones stand in {folder}",
                todo="make them, or correct the binds",
            )
        absent = {
            bind.target: node.name
            for node in reversed(topology.nodes)
            for bind in node.binds
            if not Path(bind.target).exists()
        }
        self.warnings = tuple(
            f"node {name}: nothing is bound at {target}, which this Linux does not have"
            for target, name in reversed(absent.items())
        )

    def words(self, node: TopologyNode) -> tuple[str, ...]:
        """Return the beginning of a command that is to see the node's binds and its own /sys."""
        bound = [bind for bind in node.binds if Path(bind.target).exists()]
        mounts = (
            word
            for bind in bound
            for word in (str(self._source(bind)), bind.target, "ro" if bind.read_only else "rw")
        )
        return (*_OWN_MOUNTS, *mounts, "--")

    def _source(self, bind: Bind) -> Path:
        return self._folder / Path(bind.source).expanduser()


def run_in_node(node: TopologyNode, namespace: Namespace, binds: Binds, command: str) -> Outcome:
    """Run one command of a node to its end, in / and with the node's environment."""
    return _outcome(node.name, command, _run(node, namespace, binds, command_words(command)))


def run_on_host(node: TopologyNode, host: Namespace, command: str) -> Outcome:
    """Run a command that a node has for the host to its end."""
    return _outcome(node.name, command, host.command(["env", "--", *command_words(command)]))


def wait_until_healthy(node: TopologyNode, namespace: Namespace, binds: Binds) -> None:
    """Ask the node's health check until it ends with 0. BuildError after as many failures as it allows.

    Failures within its start period do not count.
    """
    check = node.healthcheck
    if check is None:
        return
    patience = time.monotonic() + check.start_period_s
    failures = 0
    test = ("timeout", str(check.timeout_s), *check.test)
    while (done := _run(node, namespace, binds, test)).status:
        failures += time.monotonic() >= patience
        if failures >= check.retries:
            raise BuildError(
                f"node {node.name} does not become healthy: {done.complaint}",
                where=" ".join(check.test),
                todo="correct its health check, or what it asks",
            )
        time.sleep(check.interval_s)


def _environment(node: TopologyNode) -> Iterator[str]:
    return (f"{name}={value}" for name, value in node.env)


def _run(node: TopologyNode, namespace: Namespace, binds: Binds, words: Sequence[str]) -> Completed:
    inner = ("env", "--chdir=/", "--", *_environment(node), *words)
    return namespace.command([*binds.words(node), *inner])


def _outcome(node: str, command: str, done: Completed) -> Outcome:
    return Outcome(node, command, done.status, done.complaint if done.status else "")


def waited_for_health(topology: Topology) -> frozenset[str]:
    """Return the nodes whose health somebody waits for; containerlab asks for no other's."""
    return frozenset(wait.node for node in topology.nodes for wait in node.waits if wait.until == "healthy")
