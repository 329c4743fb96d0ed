"""A learner's tables, as text from a place that is not trusted, put into a node built anew.

Only what iptables-save and `ipvsadm -S -n` write is taken. iptables' `--modprobe` would run a program: words
that could be it are refused, and so is whatever the tools themselves refuse.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from labkit.errors import RequestError
from labkit.proxy.restore import parse_save, render_saved, runs_program

if TYPE_CHECKING:
    from labkit.fabric.namespace import Namespace

BACKENDS = ("iptables-legacy", "iptables-nft")
SAVING: dict[str, tuple[str, ...]] = {
    **{name: (f"{name}-save",) for name in BACKENDS},
    "ipvs": ("ipvsadm", "-S", "-n"),
}
"""How each part of a node's tables is written as text."""

_TABLES = frozenset({"filter", "nat", "mangle", "raw"})
_CHAIN = re.compile(r"[A-Za-z0-9_.-]{1,28}")
_ADDRESS = r"[0-9.]{7,15}:[0-9]{1,5}"
_SERVER = re.compile(
    rf"-A -[tu] {_ADDRESS} -s [a-z]{{2,8}}( -p [0-9]+)?( -M [0-9.]+)?"
    rf"|-a -[tu] {_ADDRESS} -r {_ADDRESS} -m -w [0-9]{{1,5}}"
)


def replay_tables(node: Namespace, tables: Any) -> None:
    """Make a node's tables what `tables` (texts by the names of SAVING) say.

    Raises RequestError for what those tools do not write, and for what the guest refuses.
    """
    if not isinstance(tables, dict) or not all(isinstance(tables.get(name), str) for name in SAVING):
        raise RequestError("these are no node's tables", todo="leave labkit as it is")
    for backend in BACKENDS:
        text = checked_save(tables[backend])
        if text:
            _feed(node, [f"{backend}-restore", "--counters", "-w", "5"], text)
    servers = checked_servers(tables["ipvs"])
    if servers:
        _feed(node, ["ipvsadm", "-R"], servers)


def checked_save(text: str) -> str:
    """Return the output of iptables-save, written anew from what was read. RequestError if it is none."""
    try:
        tables = parse_save(text)
    except (ValueError, KeyError) as error:
        raise _refusal(str(error)) from error
    for table in tables.values():
        if table.name not in _TABLES:
            raise _refusal(f"table {table.name}")
        for name, chain in table.chains.items():
            words = [word for counted in chain.rules for word in counted.rule]
            if not _CHAIN.fullmatch(name) or not _CHAIN.fullmatch(chain.policy):
                raise _refusal(f"chain {name}")
            for word in words:
                if runs_program((word,)) or not word.isprintable():
                    raise _refusal(word)
    return "".join(render_saved(table) for table in tables.values())


def checked_servers(text: str) -> str:
    """Return the output of `ipvsadm -S -n`. RequestError where a line is none of NAT's."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if not _SERVER.fullmatch(line):
            raise _refusal(line)
    return "".join(f"{line}\n" for line in lines)


def _feed(node: Namespace, argv: list[str], text: str) -> None:
    done = node.command(argv, stdin=text)
    if done.status:
        raise RequestError(
            f"a node built anew refuses these tables: {done.stderr.strip()}",
            where=f"{argv[0]}, on {node.name}",
            todo="use what every node has: iptables' own matches and targets, and the chains you made",
        )


def _refusal(what: str) -> RequestError:
    return RequestError(
        f"a table cannot be taken over: {what!r}", where="iptables-save", todo="leave this out of your rules"
    )
