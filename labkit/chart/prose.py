"""What the report says around its figures. Blank lines part the paragraphs, a bar the lead from its text."""

from __future__ import annotations


def paragraphs(text: str) -> tuple[tuple[str, str], ...]:
    """Return each paragraph of `text` as (lead, text), both on one line."""
    parts = (paragraph.partition("|") for paragraph in text.strip().split("\n\n"))
    return tuple((lead.strip(), " ".join(body.split())) for lead, _, body in parts)


READING = """
Who got how much. | One line an algorithm, one column a pod. The bar and the number are the connections that
the pod answered; the upright mark is the share it was expected to get from the algorithm's own rule (an
equal part, or its weight). Where there is no mark the algorithm promises no share: lc, wlc, sed and nq look
at the connections that are open, sh, dh and mh at a hash of addresses, fo and ovf fill one pod before the
next, lblc and lblcr keep a destination on its pod. With more than eight pods, colours say how far a pod's
share is from the expected one (or from an equal one where none is expected).

As expected? | The p value (chi-square test) says how often pure chance, following the expected shares,
would stray at least this far from them: 0.4 is everyday luck, below 0.001 the page says unlikely, below
0.000001 it says no. Rotating algorithms such as rr are not drawn by lot: they come out more even than
chance would, and their p is near 1.

How fast. | The dot is the median (p50): half of the connections were faster. The pale line runs from p05 to
p99: of a hundred connections five were faster than its left end and one slower than its right. Whiskers are
95 % intervals: where those of two algorithms overlap, this run does not tell them apart. Further left is
faster. An overloaded run (more work arrives than its pods can do) is listed, not drawn: its times only say
how long the overload lasted.

The three times. | Connect time is from connect() to an established connection; response time from the
request to the whole answer; forwarding delay is the time inside the node's kernel, from the packet's
arrival at the node to its arrival on the pod's side, by the kernel's own packet stamps.
"""
HONEST = """
Clocks. | In real time every latency includes this machine's own work: a busy laptop, a virtual machine or a
browser in the background shifts all of them. Compare algorithms within this page, never with another
machine's page. In virtual time latencies are made of modelled delays alone (service times, queues, link
delays) and the kernel's own cost does not show.

Scale. | A few hundred connections to a handful of pods say little about thousands of Services: there
iptables walks a longer list for each new connection; nftables and IPVS look the Service up in one step. With
so few Services most of a connection's time is spent on everything but the choice of a pod.

Weights. | kube-proxy gives every endpoint the weight 1 (or 0 when it must drain). Other weights, where this
page shows them, are the lab's own extension, so that weighted algorithms have something to weigh.
"""
REWRITING = """
What the node changes. | The client only ever talks to the Service's address. The node rewrites it: each
line is one packet, with the addresses that it had on the client's side of the node and on the pod's side.
Answers are rewritten back, so that the client never learns the pod's address.
"""
