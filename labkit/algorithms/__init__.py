"""Twins, in plain Python, of the kernel's IPVS schedulers and of kube-proxy's random choice.

    servers = [RealServer("web-1", "10.244.0.2", weight=3), RealServer("web-2", "10.244.0.3")]
    web = VirtualServer("wlc", servers)
    web.choose(Connection("10.244.0.9")).name

They make the kernel's own choices, ties and quirks included; tests/lab holds them to it.
"""

from labkit.algorithms.catalogue import SCHEDULERS, make_scheduler
from labkit.algorithms.servers import Connection, RealServer, Scheduler, VirtualServer
from labkit.algorithms.simulator import Served, simulate

__all__ = [
    "SCHEDULERS",
    "Connection",
    "RealServer",
    "Scheduler",
    "Served",
    "VirtualServer",
    "make_scheduler",
    "simulate",
]
