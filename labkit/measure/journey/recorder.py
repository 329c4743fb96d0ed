"""The recorder: opens all sources of a journey, and brings back what they reported, or nothing at all."""

from __future__ import annotations

import contextlib
import select
import time
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from labkit.errors import CapabilityError
from labkit.fabric.resident import Resident
from labkit.fabric.sysctl import read_sysctl, write_sysctl
from labkit.guest.info import current
from labkit.guest.probe import takes_nftables
from labkit.measure.journey.joining import join_by_time, join_by_trace
from labkit.measure.journey.spine import TRACING, Spine
from labkit.measure.journey.taps import NodeTap, Tap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from labkit.fabric.namespace import Namespace
    from labkit.measure.journey.observed import Captured, Observed
    from labkit.measure.journey.places import Places

_IPVS_DEBUG = "net/ipv4/vs/debug_level"  # kernel-wide, and only the first namespace may write it
_IPVS_LEVEL = 7  # the scheduler's choice and what it does to conntrack (include/net/ip_vs.h)
_NO_SPINE = "routing, sockets' states and reasons of drops (no trace events here); order is by time stamps"
_NO_TABLE = "headers and conntrack entries between netfilter's steps (no nf_tables for IPv4 here)"
_NO_IPVS = "IPVS's choice in its own words (no IPVS debug messages here); it is inferred"


@dataclass(frozen=True, slots=True)
class Watched:
    """What to watch: nodes with their rules, other namespaces, packets from or to one of `addresses`."""

    nodes: tuple[Namespace, ...]
    others: tuple[Namespace, ...]
    addresses: tuple[str, ...]
    nft: bool  # whether nft has rules of others to report
    ipvs: bool


class Recorder:
    """Records from its making to its end. A context manager; `observed` once, when all has happened.

    Opening and closing are done in a thread where no interrupt arrives: it is raised when they are over.
    """

    def __init__(self, watched: Watched, places: Places) -> None:
        """Open all sources; only one recorder may be open at a time.

        Raises CapabilityError where this Linux lacks a source, BuildError or TrafficError where one is
        refused. After these and after an interrupt nothing is left.
        """
        self._places = places
        self._cleaning = contextlib.ExitStack()
        self._taps: dict[str, Tap] = {}
        self._captured: dict[str, list[Captured]] = {}
        self._spine: Spine | None = None
        self.missing: tuple[str, ...] = ()  # what this Linux cannot report, each with the reason
        try:
            _undisturbed(lambda: self._open(watched))
        except BaseException:
            self.close()
            raise

    def _open(self, watched: Watched) -> None:
        self._open_spine()
        has_table = takes_nftables()
        if not has_table:
            self.missing += (_NO_TABLE,)
        for number, namespace in enumerate(watched.nodes):
            name = f"journey{number}"
            tap = NodeTap(namespace, name, watched.addresses, nft=watched.nft, has_table=has_table)
            self._keep(tap)
        for namespace in watched.others:
            self._keep(Tap(namespace))
        if watched.ipvs:
            self._have_ipvs_talk()

    def _open_spine(self) -> None:
        if TRACING.is_dir():
            self._spine = self._cleaning.enter_context(Spine())
            return
        guest = current()
        if guest is not None and guest.clock == "virtual":
            raise CapabilityError(
                "in virtual time a journey has no order without the kernel's trace, which this Linux lacks",
                todo="use the shipped Linux: labkit guest list",
            )
        self.missing += (_NO_SPINE,)

    def _keep(self, tap: Tap) -> None:
        name = tap.namespace.name
        self._taps[name], self._captured[name] = tap, []
        self._cleaning.callback(tap.close)

    def _have_ipvs_talk(self) -> None:
        if self._spine is None or not Path("/proc/sys", _IPVS_DEBUG).exists():
            self.missing += (_NO_IPVS,)
            return
        before = read_sysctl(_IPVS_DEBUG)
        self._cleaning.callback(write_sysctl, _IPVS_DEBUG, before)
        write_sysctl(_IPVS_DEBUG, _IPVS_LEVEL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything. A second call does nothing."""
        _undisturbed(self._cleaning.close)

    def wait(self, is_over: Callable[[Mapping[str, Sequence[Captured]]], bool], timeout_s: float) -> bool:
        """Wait until `is_over` says so of what each namespace's tap has caught; return whether it did."""
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        for tap in self._taps.values():
            poll.register(tap, select.POLLIN)
        while True:
            self._catch()
            left_s = deadline - time.monotonic()
            if is_over(self._captured):
                return True
            if left_s <= 0 or not poll.poll(left_s * 1000):
                return False

    def observed(self) -> tuple[Observed, ...]:
        """Return what was reported since the beginning, in order. TrafficError where anything was lost."""
        self._catch()
        if self._spine is None:
            return tuple(join_by_time(self._captured))
        self._spine.stop()
        return tuple(join_by_trace(self._captured, self._spine.read(), self._places.peers))

    def _catch(self) -> None:
        for name, tap in self._taps.items():
            self._captured[name] += tap.captured()


def _undisturbed(work: Callable[[], None]) -> None:
    """Do `work` in a thread of its own, to its end; an interrupt that came meanwhile is raised then."""
    interrupt: KeyboardInterrupt | None = None
    done: Future[None] | None = None
    while done is None or not done.done():
        try:
            with Resident("journey") as worker:
                done = done or worker.submit(work)
                wait([done])
        except KeyboardInterrupt as error:
            interrupt = error
    done.result()
    if interrupt is not None:
        raise interrupt
