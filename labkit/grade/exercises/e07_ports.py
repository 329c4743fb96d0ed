"""07-ports: how many connections a client can make before its ports run out, and how many a second after."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from labkit.grade.exercise import Exercise, Function
from labkit.grade.exercises import clusters
from labkit.grade.mark import Finding
from labkit.lab import Lab
from labkit.spec.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from labkit.grade.exercise import Given

NAME = "07-ports"
LATE_S = 6.0  # a timer of a minute may be 5 s late, and we look once a second
PATIENCE_S = 300
NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT (linux/in.h): the port is chosen when it is known whom it is for


def plan_draw(random: Random) -> Given:
    """Return a small range of ports, and how many addresses the client and how many Services there are."""
    first = random.randrange(20_000, 50_000)
    count = 2 * random.randint(10, 30)  # of an odd number Linux may not try the last one
    addresses, services = random.choice([(2, 2), (2, 3), (3, 2)])
    return {
        "first_port": first,
        "last_port": first + count - 1,
        "addresses": addresses,
        "services": services,
    }


def judge(given: Given, most: Any) -> Iterator[Finding]:
    """Connect until no port is left, wait until there is one again, and compare."""
    said = most if isinstance(most, list) and len(most) == 2 else [None, None]
    count, rate = map(_number, said)
    at_once, again_s = _measure(given)
    yield _finding(
        "at once",
        said[0],
        "connections before the first `Cannot assign requested address`",
        "what tells two connections apart: two addresses and two ports; which may differ?",
        is_right=count == at_once,
    )
    yield _finding(
        "per second",
        said[1],
        "connections a second in the long run, within some per cent",
        "for how long does the client itself keep a port that it has closed?",
        is_right=rate > 0 and abs(at_once / rate - again_s) <= LATE_S,
    )


def _number(said: Any) -> float:
    return float(said) if isinstance(said, int | float) and not isinstance(said, bool) else 0.0


def _finding(part: str, said: Any, expected: str, todo: str, *, is_right: bool) -> Finding:
    return Finding(part, 2.0 if is_right else 0.0, 2.0, expected, repr(said)[:60], "" if is_right else todo)


def _measure(given: Given) -> tuple[int, float]:
    """Return how many connections there can be, and after how many seconds there is one again."""
    services = [clusters.service(f"web-{number}", app="web") for number in range(given["services"])]
    manifest = clusters.joined(clusters.nodes(1), clusters.pod("web", "web"), *services)
    with Lab.open(Text(NAME, manifest)) as lab:
        client = lab.clients["client"]
        ports = f"{given['first_port']} {given['last_port']}"
        client.command(["sysctl", "-q", "-w", f"net.ipv4.ip_local_port_range={ports}"])
        sources = lab.network.plan.clients["client"].addresses[: given["addresses"]]
        targets = [service.cluster_ip for service in lab.cluster.services]
        at_once = sum(
            client.run(partial(_connect_until_none_is_left, source, target))
            for source in sources
            for target in targets
        )
        begun_s = time.monotonic()
        while not client.run(partial(_connect, sources[0], targets[0])):
            if time.monotonic() - begun_s > PATIENCE_S:
                break
            time.sleep(1)
        return at_once, time.monotonic() - begun_s


def _connect_until_none_is_left(source: str, target: str) -> int:
    count = 0
    while _connect(source, target):
        count += 1
    return count


def _connect(source: str, target: str) -> bool:
    """Connect and close again, as a client that closes first; return False where no port is left."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as opened:
        opened.setsockopt(socket.IPPROTO_IP, NO_PORT, 1)
        opened.settimeout(1)
        try:
            opened.bind((source, 0))
            opened.connect((target, 80))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            return False
        opened.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            opened.recv(1)  # the pod closes, too: then the client's side is in TIME_WAIT
        return True


EXERCISE = Exercise(
    NAME,
    4.0,
    plan_draw,
    Function("most_connections", ("first_port", "last_port", "addresses", "services"), cases=2),
    judge,
)
