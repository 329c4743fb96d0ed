"""IPVS schedulers: which there are in Linux, and what to say about a name that is none of them."""

from __future__ import annotations

from labkit.spec.wording import nearest

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "twos")
"""Every scheduler of Linux 6. One kernel may lack some: that shows only where the rules are programmed."""
SCHEDULER_ANNOTATION = "kube-router.io/service.scheduler"
"""A Service's own scheduler, in the lab's IPVS mode only: kube-proxy has one for the whole node."""


def unknown_scheduler(name: str) -> tuple[str, str]:
    """Return what is wrong with a scheduler's name and what to write instead; ("", "") if it is known."""
    if name in SCHEDULERS:
        return "", ""
    meant = nearest(name, SCHEDULERS)
    hint = f"did you mean {meant}? " if meant else ""
    return f"Linux has no IPVS scheduler {name!r}", f"{hint}there are: {', '.join(SCHEDULERS)}"
