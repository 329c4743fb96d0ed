"""07-ports: how many connections a client can make until its ports run out, and how many a second for ever."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from typing import TYPE_CHECKING, Any

from labkit.grade.exercise import Exercise, Function
from labkit.grade.exercises import clusters
from labkit.grade.mark import Finding
from labkit.lab import Lab
from labkit.spec.documents import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from labkit.grade.exercise import Given

NAME = "07-ports"
CLOSE = 0.05  # of the rate: ports come back within a second or two of their minute
PATIENCE_S = 300
NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT (linux/in.h): the port is chosen when it is known whom it is for


def plan_draw(random: Random) -> Given:
    """Return a small range of ports, and how many addresses the client and how many Services there are."""
    first = random.randrange(20_000, 50_000)
    count = random.randint(20, 60)
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
    at_once, again_s = _measure(given)
    is_number = [isinstance(one, int | float) and not isinstance(one, bool) for one in said]
    is_right = is_number[0] and said[0] == at_once
    yield Finding(
        "at once",
        2.0 if is_right else 0.0,
        2.0,
        "connections before the first `Cannot assign requested address`",
        repr(said[0])[:60],
        ""
        if is_right
        else "what tells two connections apart: two addresses and two ports; which may differ?",
    )
    rate = at_once / again_s
    is_right = is_number[1] and abs(said[1] - rate) <= CLOSE * rate
    yield Finding(
        "per second",
        2.0 if is_right else 0.0,
        2.0,
        f"connections a second in the long run, within {CLOSE:.0%}",
        repr(said[1])[:60],
        "" if is_right else "for how long does the client itself keep a port that it has closed?",
    )


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
            client.run(lambda pair=(source, target): _connect_until_none_is_left(*pair))
            for source in sources
            for target in targets
        )
        begun_s = time.monotonic()
        while not client.run(lambda: _connect(sources[0], targets[0])):
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
