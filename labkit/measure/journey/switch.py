"""What switches tracing on in a node: the table of our own, or where nf_tables is missing, rules in raw."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self

from labkit.errors import ProgramError
from labkit.fabric.netlink import NetfilterSocket
from labkit.measure.journey.tracetable import plan_trace_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.fabric.namespace import Namespace

_RAW_CHAINS = ("PREROUTING", "OUTPUT")  # before conntrack, as tracing must begin


class TraceTable:
    """The table `ip labkit-journey`; the kernel removes it when its socket is closed."""

    def __init__(self, namespace: Namespace, addresses: Sequence[str]) -> None:
        """Make it, for packets from or to `addresses`. BuildError where Linux refuses."""
        self._owner = namespace.run(lambda: NetfilterSocket(namespace.name))
        try:
            self._owner.send_transaction(tuple(plan_trace_table(addresses)))
        except BaseException:
            self._owner.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._owner.close()


@contextlib.contextmanager
def trace_rules(namespace: Namespace, addresses: Sequence[str]) -> Iterator[None]:
    """Have iptables' TRACE report packets from or to `addresses` as long as the context lasts.

    Raises ProgramError where Linux refuses the rules.
    """
    matches = [f"-{end} {address} -j TRACE" for end in "sd" for address in addresses]
    rules = [f"{chain} {match}" for chain in _RAW_CHAINS for match in matches]
    try:
        _restore(namespace, [f"-I {rule}" for rule in rules])
        yield
    finally:
        _restore(namespace, [f"-D {rule}" for rule in rules])


def _restore(namespace: Namespace, lines: Sequence[str]) -> None:
    text = "\n".join(["*raw", *lines, "COMMIT", ""])
    done = namespace.command(["iptables-legacy-restore", "--noflush"], stdin=text)
    if done.status:
        raise ProgramError(f"TRACE cannot be switched: {done.stderr.strip()}", where=namespace.name)
