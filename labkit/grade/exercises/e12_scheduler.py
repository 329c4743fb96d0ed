"""12-scheduler: a function that chooses as the kernel does under four schedulers, while connections end.

The judge lets the same happen to a real virtual server for each scheduler, and compares every choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.algorithms import Connection
from labkit.fabric.namespace import Namespace
from labkit.grade.exercise import Exercise, Function
from labkit.grade.mark import Finding
from labkit.measure.scheduled import Scheduled, prepare_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from labkit.grade.exercise import Given

NAME = "12-scheduler"
HINTS = {
    "wrr": "from the greatest weight downwards, in steps of the weights' greatest common divisor; "
    "after each choice go on with the next server of the list",
    "wlc": "an active connection counts as 257 inactive ones, and one that ended is inactive",
    "sed": "active connections only, and the one that is about to come; divided by the weight",
    "nq": "the first idle server of the list, whatever its weight unless that is 0; else as sed",
}
OPENED, CLOSED = 40, 16
CLIENT, FIRST_PORT = "10.2.0.1", 10_000


def plan_draw(random: Random) -> Given:
    """Return four or five servers, one of weight 0, and connections that come and end.

    The servers stand in the order in which IPVS lists them. Their weights have a common divisor.
    """
    divisor = random.choice([2, 3])
    weights = [divisor * weight for weight in random.sample(range(1, 6), random.randint(3, 4))]
    weights.insert(random.randrange(len(weights) + 1), 0)
    names = [f"web-{number}" for number in range(len(weights), 0, -1)]
    return {
        "servers": [{"name": name, "weight": weight} for name, weight in zip(names, weights, strict=True)],
        "events": _draw_events(random),
    }


def _draw_events(random: Random) -> list[list[Any]]:
    """Return `["open", number]` for each connection in turn, and `["close", number]` for some, later."""
    ends = random.sample(range(OPENED), CLOSED)
    places = {number: random.randrange(number + 1, OPENED + 1) for number in ends}
    events: list[list[Any]] = []
    for number in range(OPENED + 1):
        events += [["close", ended] for ended, place in sorted(places.items()) if place == number]
        events += [["open", number]] if number < OPENED else []
    return events


def judge(given: Given, chosen: Any) -> Iterator[Finding]:
    """Let the kernel choose under each scheduler, and compare."""
    for scheduler in HINTS:
        said = chosen.get(scheduler) if isinstance(chosen, dict) else None
        yield _compare(scheduler, said, choose_by_kernel(scheduler, given))


def choose_by_kernel(scheduler: str, given: Given) -> list[str | None]:
    """Return whom the kernel chose for each connection, the connections of a draw coming and ending."""
    chosen: dict[int, str | None] = {}
    with Namespace.create("scheduler") as namespace:
        prepare_namespace(namespace, [CLIENT])
        with Scheduled(namespace, "rr", "TCP") as kernel:
            for server in reversed(given["servers"]):
                kernel.add(server["name"], server["weight"])
            kernel.set_scheduler(scheduler)  # so that wrr's turns begin at the top, however servers came
            for what, number in given["events"]:
                if what == "open":
                    chosen[number] = kernel.choose_by_connecting(Connection(CLIENT, FIRST_PORT + number))
                else:
                    kernel.close_one(chosen[number] or "")
    return list(chosen.values())


def _compare(scheduler: str, said: Any, kernel: Sequence[str | None]) -> Finding:
    names = said if isinstance(said, list) else []
    first = next((at for at, name in enumerate(kernel) if at >= len(names) or names[at] != name), len(kernel))
    is_right = first == len(kernel) == len(names)
    where = f"connection {first}: {names[first]!r}" if first < len(names) else f"{len(names)} choices"
    return Finding(
        scheduler,
        1.0 if is_right else 0.0,
        1.0,
        f"the kernel's {len(kernel)} choices"
        + ("" if is_right or first == len(kernel) else f"; for connection {first}: {kernel[first]}"),
        f"{len(kernel)} of them" if is_right else where[:60],
        "" if is_right else HINTS[scheduler],
    )


EXERCISE = Exercise(NAME, 4.0, plan_draw, Function("choose_servers", ("servers", "events"), cases=3), judge)
