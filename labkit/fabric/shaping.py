"""Shaping: delay, jitter, loss and rate of what leaves through an interface, by netem."""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from labkit.errors import CapabilityError, RequestError
from labkit.fabric.netlink import NLM_F_CREATE, NLM_F_REPLACE, Message, RefusedError, RouteSocket, attribute

if TYPE_CHECKING:
    from labkit.fabric.namespace import Namespace
    from labkit.spec.addressplan import Interface

RTM_NEWQDISC, RTM_DELQDISC = 36, 37
TC_H_ROOT = 0xFFFFFFFF
TCA_KIND, TCA_OPTIONS = 1, 2
TCA_NETEM_RATE, TCA_NETEM_RATE64, TCA_NETEM_LATENCY64, TCA_NETEM_JITTER64 = 6, 8, 10, 11
QUEUE_PACKETS = 10_000  # tc's own default of 1,000 would drop a burst that only waits for its delay
KIND = b"netem\0"
U32 = (1 << 32) - 1

_tcmsg = struct.Struct("=BxxxiIII")
_netem = struct.Struct("=IIIIII")
_rate = struct.Struct("=IiIi")
_s64 = struct.Struct("=q")
_u64 = struct.Struct("=Q")


@dataclass(frozen=True, slots=True)
class Shaping:
    """What happens to packets that leave through an interface; 0 everywhere is an unshaped one.

    `jitter_ms` spreads the delay evenly to both sides, and so may reorder packets; `rate_mbit` is 10^6 bits
    per second. Raises RequestError for impossible values.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss_percent: float = 0.0
    rate_mbit: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < float("inf"):
                raise RequestError(
                    f"{field.name}={value} is impossible", where="shaping", todo="use 0 or more"
                )
        if self.loss_percent > 100:
            raise RequestError(
                f"loss_percent={self.loss_percent} is impossible", where="shaping", todo="use 0 to 100"
            )
        if self.jitter_ms > self.delay_ms:
            raise RequestError(
                f"jitter_ms={self.jitter_ms:g} around delay_ms={self.delay_ms:g} would go back in time",
                where="shaping",
                todo="use a jitter_ms no greater than delay_ms",
            )


def apply_shaping(namespace: Namespace, interface: Interface, shaping: Shaping) -> None:
    """Shape what leaves through `interface` of `namespace`, instead of any shaping before.

    Raises CapabilityError where this Linux has no netem.
    """
    if shaping == Shaping():
        return remove_shaping(namespace, interface)
    body = _root(interface) + attribute(TCA_KIND, KIND) + attribute(TCA_OPTIONS, _options(shaping))
    message = Message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, body, f"shape {interface.name}")
    try:
        _send(namespace, message)
    except RefusedError as error:
        if error.errno not in {errno.ENOENT, errno.EOPNOTSUPP}:
            raise
        raise CapabilityError(
            "this Linux cannot shape traffic: it has no netem",
            where=f"{interface.name} of {namespace.name}",
            todo="modprobe sch_netem, or run in the lab's own Linux: labkit exec --guest uml -- ...",
        ) from error


def remove_shaping(namespace: Namespace, interface: Interface) -> None:
    """Let packets leave through `interface` as they come; one that is not shaped stays as it is."""
    try:
        _send(namespace, Message(RTM_DELQDISC, 0, _root(interface), f"stop shaping {interface.name}"))
    except RefusedError as error:
        if error.errno != errno.ENOENT:
            raise


def _send(namespace: Namespace, message: Message) -> None:
    with namespace.run(lambda: RouteSocket(namespace.name)) as socket:
        socket.send([message])


def _root(interface: Interface) -> bytes:
    return _tcmsg.pack(0, interface.index, 0, TC_H_ROOT, 0)


def _options(shaping: Shaping) -> bytes:
    """Return tc_netem_qopt and its attributes (linux/pkt_sched.h); all, for an absent one keeps its value."""
    delay_ns, jitter_ns = round(shaping.delay_ms * 1e6), round(shaping.jitter_ms * 1e6)
    loss = round(shaping.loss_percent / 100 * U32)
    bytes_per_s = round(shaping.rate_mbit * 1e6 / 8)
    options = _netem.pack(0, QUEUE_PACKETS, loss, 0, 0, 0)
    options += attribute(TCA_NETEM_LATENCY64, _s64.pack(delay_ns))
    options += attribute(TCA_NETEM_JITTER64, _s64.pack(jitter_ns))
    if bytes_per_s > U32:
        options += attribute(TCA_NETEM_RATE64, _u64.pack(bytes_per_s))
    return options + attribute(TCA_NETEM_RATE, _rate.pack(min(bytes_per_s, U32), 0, 0, 0))
