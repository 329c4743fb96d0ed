"""One packet of the learner's own, made with Scapy: sent from a namespace, and what came back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.errors import RequestError, TrafficError
from labkit.traffic.scapylock import SCAPY, run_scapy

if TYPE_CHECKING:
    from labkit.fabric.namespace import Namespace

TIMEOUT_S = 2.0


def exchange(namespace: Namespace, packet: Any, timeout_s: float = TIMEOUT_S) -> Any | None:
    """Send a Scapy packet of layer 3 (`IP(...) / ...`) and return the first answer to it, or None.

    The system knows nothing of a connection begun like that, so it answers a SYN-ACK with a reset. Raises
    RequestError for something that is no IP packet, TrafficError where it cannot be sent.
    """
    with SCAPY:
        from scapy.layers.inet import IP

        if not isinstance(packet, IP):
            raise RequestError(
                f"only an IP packet can be sent, not {type(packet).__name__}",
                where="send",
                todo='begin it with IP, for example IP(dst="10.96.0.10") / TCP(dport=80, flags="S")',
            )

    def send_and_receive() -> Any | None:
        from scapy.sendrecv import sr1

        return sr1(packet, timeout=timeout_s, verbose=0, threaded=False)

    try:
        return run_scapy(namespace, send_and_receive)
    except OSError as error:
        raise TrafficError(
            f"the packet could not be sent: {error.strerror}",
            where=namespace.name,
            todo="look at the addresses and routes there: ip address, ip route",
        ) from error
