"""Mutants on trial: each is programmed on node-1, and rows are asked until one contradicts.

    labkit exec --virtual-time -- python -m flows.trial MODE REPORT      (make mutants)

In virtual time nothing has to be waited for: between two mutants whatever remembers a connection forgets it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from flows.live import Scene
from flows.mutants import Mutant, mutants
from flows.round import Patience
from flows.rows import Row
from flows.survivors import survivor_for
from flows.table import ROWS
from flows.weathers import NOTHING_MARKED_LEAVES, WEATHERS

from labkit.guest.probe import takes_nftables
from labkit.proxy.plans import Mode, known_mode
from labkit.proxy.program import apply_plan

FORGETTING_S = 400  # longer than conntrack, IPVS and affinity remember anybody who has said good-bye
PATIENCE = Patience(silence_s=0.5)
LEAST_KILLED = 0.95


def program_mutant(scene: Scene, mutant: Mutant) -> None:
    """Put a mutant on node-1. ProgramError where Linux refuses it."""
    node = scene.namespace("node")
    apply_plan(mutant.plan, node, scene.backend)
    if mutant.setting:
        node.write_sysctl(mutant.setting, 0)


def find_killer(scene: Scene, mutant: Mutant) -> str:
    """Return a row that a mutant contradicts, "" for a survivor; its own Service's rows are asked first."""
    for weather, rows in _occasions(scene.mode, mutant.service):
        with scene.weather(weather):
            for row, words in scene.contradictions(rows).items():
                return f"{row}, but: {' '.join(sorted(words)) or 'nothing'}"
    return ""


def _occasions(mode: Mode, service: str) -> Iterator[tuple[str, list[Row]]]:
    usual = [row for row in ROWS if row.mode == mode and not row.setup]
    if service:
        yield "", [row for row in usual if not row.weather and row.service == service]
    for weather in WEATHERS:
        if weather == NOTHING_MARKED_LEAVES and not takes_nftables():
            continue
        if rows := [row for row in usual if row.weather == weather]:
            yield weather, rows


def try_all(mode: Mode) -> Iterator[dict[str, str | bool]]:
    """Yield every mutant of node-1's plan with the row that it contradicts, or the reason why none."""
    with Scene(mode, PATIENCE) as scene:
        scene.program()
        plan = scene.proxiers["node-1"].plan
        _require_silence(find_killer(scene, Mutant("nothing", "", plan)))
        every = list(mutants(plan))
        for number, mutant in enumerate(every):
            if number % 20 == 0:
                print(f"{mode}: {number} of {len(every)} mutants", file=sys.stderr, flush=True)  # noqa: T201
            program_mutant(scene, mutant)
            killer = find_killer(scene, mutant)
            known = None if killer else survivor_for(mode, str(mutant))
            yield {
                "mutant": str(mutant),
                "killer": killer,
                "reason": known.reason if known else "",
                "equivalent": known is not None and known.equivalent,
            }
            time.sleep(FORGETTING_S)
        program_mutant(scene, Mutant("nothing", "", plan))
        _require_silence(find_killer(scene, Mutant("nothing", "", plan)))


def _require_silence(contradicted: str) -> None:
    # Else every mutant would seem killed by what is wrong without it.
    if contradicted:
        raise SystemExit(f"the whole plan itself contradicts {contradicted}")


def main(mode: str, report: str) -> int:
    """Try all mutants of a mode and write them to `report`; 1 where survivors are too many or unexplained."""
    tried = []
    for one in try_all(known_mode(mode)):
        tried.append(one)
        Path(report).write_text(json.dumps(tried, indent=1))
    survivors = [one for one in tried if not one["killer"]]
    killed, equivalent = len(tried) - len(survivors), sum(bool(one["equivalent"]) for one in survivors)
    said = f"{mode}: {killed} of {len(tried)} mutants killed, {killed / len(tried):.1%}"
    lines = [f"{said}; {equivalent} of the others are the same plan by proof"]
    for one in survivors:
        lines += [f"  survives: {one['mutant']}", f"    {one['reason'] or 'NO REASON KNOWN'}"]
    print("\n".join(lines))  # noqa: T201
    return int(killed < LEAST_KILLED * len(tried) or not all(one["reason"] for one in survivors))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
