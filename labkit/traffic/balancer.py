"""Balancer: the load balancer outside of the cluster, alive in its namespace, with counters.

    lab.balancer.counts()["203.0.113.10:80/TCP"].accepted

Its process (`balancing.py`) lives in the namespace `balancer` and ends with it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from labkit.errors import TrafficError
from labkit.traffic.backend import import_root

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.fabric.namespace import Namespace
    from labkit.spec.balancer import BalancerPlan

START = """
import subprocess
import sys
sys.path.insert(0, sys.argv[1])
from labkit.traffic.balancing import main
main()
"""


@dataclass(frozen=True, slots=True)
class PortCount:
    """What one port of the balancer has seen: connections (TCP) or datagrams (UDP) since it was built.

    `forwarded` counts those that reached a node, by node, at an Ingress by "Service node"; `failed` those
    that found none. Requests that an Ingress has no rule for are accepted and neither.
    """

    accepted: int
    failed: int
    forwarded: Mapping[str, int]


class Balancer:
    """The balancer's process. A context manager; `close()` leaves nothing behind."""

    def __init__(self, plan: BalancerPlan, namespace: Namespace) -> None:
        """Start it; it listens when this returns. Raises TrafficError where it cannot."""
        self.plan = plan
        self._lock = threading.Lock()
        argv = [sys.executable, "-I", "-S", "-c", START, str(import_root())]
        pipe = subprocess.PIPE
        self._process = namespace.start(argv, stdin=pipe, stdout=pipe, stderr=pipe)
        try:
            self._ask(json.dumps(asdict(plan)))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses it owns."""
        return self.plan.addresses

    def counts(self) -> Mapping[str, PortCount]:
        """Return what each of its ports has seen, by `address:port/PROTOCOL`. TrafficError if it has died."""
        counted = json.loads(self._ask("count"))
        return {name: PortCount(**counts) for name, counts in counted.items()}

    def close(self) -> None:
        """End the process and wait for its end. A second call does nothing."""
        if self._process.stdin is None or self._process.stdin.closed:
            return
        self._process.kill()
        with self._process:
            self._process.wait()

    def _ask(self, line: str) -> str:
        """Write a line and return the one that answers it. Raises TrafficError if the process has died."""
        if self._process.stdin is None or self._process.stdin.closed or self._process.stdout is None:
            raise TrafficError("the load balancer is closed", todo="open the lab again")
        with self._lock:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(f"{line}\n")
                self._process.stdin.flush()
            answer = self._process.stdout.readline()
        if not answer:
            raise self._death()
        return answer

    def _death(self) -> TrafficError:
        words = self._process.stderr.read().strip().splitlines() if self._process.stderr else []
        return TrafficError(
            "the load balancer's process died",
            where=words[-1] if words else f"process {self._process.pid}, without a word",
            todo="close the lab and open it again",
        )
