"""A thousand journeys in a row: none is lost, none leaves anything behind.

labkit exec -- python -m flows.thousand [NUMBER]      (make journeys)
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from labkit.lab import Lab
from labkit.measure.journey.spine import TRACING
from labkit.proxy.plans import MODES


def what_is_there(lab: Lab) -> dict[str, object]:
    """Return what a journey could leave behind, in the first node, the kernel and this process."""
    node = lab.nodes[lab.cluster.nodes[0].name]
    tables = node.command(["nft", "list", "tables"]).stdout.splitlines()
    return {
        "tables of journeys": [table for table in tables if "journey" in table],
        "links": node.command(["ip", "-o", "link"]).stdout.count("\n"),
        "logger": node.read_sysctl("net/netfilter/nf_log/2"),
        "traces": len(list(TRACING.iterdir())),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": len(list(Path("/proc/self/task").iterdir())),
    }


def free_kb() -> int:
    """Return how much memory the guest could still give."""
    words = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(words["MemAvailable"].split()[0])


def main(number: int = 1000) -> int:
    """Record `number` journeys, a third in each mode; 1 where anything is left or anybody is not answered."""
    wrong = 0
    with Lab.open("web") as lab:
        for mode in MODES:
            lab.switch(mode)
            with lab.journey("client", service="web"):
                pass
            before, free, began = what_is_there(lab), free_kb(), time.monotonic()
            count = -(-number // len(MODES))
            for _ in range(count):
                with lab.journey("client", service="web") as journey:
                    wrong += journey.outcome.answered_by is None or len(journey.packets) != 3
            took_ms = (time.monotonic() - began) / count * 1000
            left = {name: value for name, value in what_is_there(lab).items() if value != before[name]}
            wrong += bool(left)
            print(  # noqa: T201
                f"{mode}: {count} journeys, {took_ms:.0f} ms each, left behind: {left or 'nothing'}, "
                f"memory: {free - free_kb():,} kB less, {wrong} wrong so far",
                flush=True,
            )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
