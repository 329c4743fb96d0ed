"""The ledger as a page of Markdown, and as lines for a terminal. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.claims.claim import CONFIRMED, CONTRADICTED, LIMITED, UNDECIDED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.claims.claim import Judgement, Part
    from labkit.claims.figures import Figure
    from labkit.claims.ledger import Ledger

_HEAD = """\
# The claim ledger

A cloud vendor's page compares kube-proxy's modes in eleven sentences. Each is here in our words, with what
was measured for it in the lab's Linux and the verdict that a judge (`labkit/claims/`) drew from these figures
alone. `labkit course claims` measures all of it and writes this page and its figures (`claims.jsonl`);
`labkit course claims --check` measures again and compares the verdicts. Lesson 11 has a cell for each
sentence; the lessons in the last column explain it.
"""
_VERDICTS = f"""\
| verdict | means |
|---|---|
| {CONFIRMED} | seen as the sentence says |
| {LIMITED} | true, but not of all that the sentence seems to say; the parts say of what |
| {CONTRADICTED} | at least one part was seen to be otherwise |
| {UNDECIDED} | this guest cannot show it, or the run did not |

Brackets hold a 95 % interval. A figure without was counted, or measured once, or its interval has no width:
the guest's clock has steps of 0.256 µs. The delay of a first packet is that between node and pod, by the
kernel's own stamps: the p05 of the quietest of five runs of 400 connections. A ratio has the widest interval
that its two figures allow.
"""


def render_page(ledger: Ledger) -> str:
    """Return the page."""
    parts = [_HEAD, _measured(ledger), _VERDICTS, _summary(ledger)]
    parts += [_section(one) for one in ledger.judgements]
    return "\n".join(parts)


def render_lines(judgements: tuple[Judgement, ...]) -> Iterator[str]:
    """Yield each sentence with its verdict, its parts under it, for a terminal."""
    for one in judgements:
        yield f"{one.claim.number:>2}  {one.verdict}: {one.claim.sentence}"
        for part in one.parts:
            yield f"      {part.says}: {part.verdict}. {part.why}"
            yield from (f"        {figure.name}: {figure}" for figure in part.figures)


def _measured(ledger: Ledger) -> str:
    guests = sorted({(row.guest.kind, row.guest.release, row.guest.cpus) for row in ledger.rows})
    loads = [row.load_1m for row in ledger.rows]
    linux = "; ".join(
        f"{kind}, Linux {release}, {cpus} processor{'s' if cpus > 1 else ''}"
        for kind, release, cpus in guests
    )
    where = (
        f"Measured on {ledger.plan.measured_on} (UTC) with labkit {ledger.plan.labkit}, whose rules are "
        f"those of kube-proxy v{ledger.plan.kube_proxy}. The guests: {linux}; their load was {min(loads):g} "
        f"to {max(loads):g}."
    )
    failed = (f"Not measured: {failure}" for failure in ledger.failures)
    return "\n".join(f"{line}\n" for line in (where, *failed))


def _summary(ledger: Ledger) -> str:
    rows = []
    for one in ledger.judgements:
        link = f"[{one.claim.number}](#{one.claim.number}-{_slug(one.verdict)})"
        rows.append(f"| {link} | {one.claim.sentence} | {one.verdict} | {one.claim.lesson} |")
    return "\n".join(["| | sentence | verdict | lesson |", "|---|---|---|---|", *rows, ""])


def _section(one: Judgement) -> str:
    lines = [f"## {one.claim.number}: {one.verdict}", "", f"*{one.claim.sentence}*", ""]
    for part in one.parts:
        lines += _part(part)
    return "\n".join(lines)


def _part(part: Part) -> list[str]:
    head = [f"**{part.says}: {part.verdict}.** {part.why}", ""]
    return [*head, *map(_figure, part.figures), ""] if part.figures else head


def _figure(figure: Figure) -> str:
    return f"- {figure.name}: {figure}"


def _slug(text: str) -> str:
    return text.replace(" ", "-")
