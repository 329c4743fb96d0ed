"""The one line that a pod answers with, whatever it is asked: who answered, where it runs, whom it saw.

    pod=shop/web-1 node=node-1 address=10.244.0.3:8080 peer=10.244.0.128:10417

`peer` is the source address as the pod saw it: behind masquerading that is a node, not the client. A UDP
answer ends with ` flow=` and the first word of the datagram.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FLOW_ID_BYTES = 64
WORK_WITHIN_BYTES = 80
_WORK = re.compile(rb"[ ?&]work=(\d{1,6}(?:\.\d{1,3})?)")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one answer says. Addresses are `address:port`; `flow` is "" over TCP."""

    pod: str
    node: str
    address: str
    peer: str
    flow: str = ""


def answer_start(pod: str, node: str, address: str) -> bytes:
    """Return the part of the line that is the same in every answer of one port, up to `peer=`."""
    return f"pod={pod} node={node} address={address} peer=".encode()


def answer_line(start: bytes, peer: tuple[str, int], flow: bytes = b"") -> bytes:
    """Return the whole line for one peer; `start` comes from `answer_start`."""
    return b"%b%b:%d%b\n" % (start, peer[0].encode(), peer[1], b" flow=" + flow if flow else b"")


def flow_id(datagram: bytes) -> bytes:
    """Return the word that the answer to `datagram` repeats: its first one, cut at 64 bytes."""
    words = datagram.split(None, 1)
    return words[0][:FLOW_ID_BYTES] if words else b""


def service_times(request: bytes) -> float:
    """Return how many service times a request asks for: 20 for `/?work=20`, 1 where it says nothing."""
    if b"work=" not in request[:WORK_WITHIN_BYTES]:
        return 1
    found = _WORK.search(request, 0, WORK_WITHIN_BYTES)
    return float(found[1]) if found else 1


def read_answer(body: bytes) -> Answer | None:
    """Return what an answer says, or None if it is not one of ours (learners run servers too)."""
    facts = dict(word.partition("=")[::2] for word in body.decode("utf-8", "replace").split())
    try:
        return Answer(facts["pod"], facts["node"], facts["address"], facts["peer"], facts.get("flow", ""))
    except KeyError:
        return None
