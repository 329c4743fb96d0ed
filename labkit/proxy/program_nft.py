"""kube-proxy's nftables table in a namespace: made what a plan says in one transaction, read, removed.

The transaction begins by deleting the table, so that nothing of a former plan can stay; packets see the old
rules or the new ones and nothing between. What affinity sets remember is carried over, except for clients
that come in the instant between reading and writing.
"""

from __future__ import annotations

import json
import re
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.errors import ProgramError
from labkit.fabric.netlink import NLM_F_REQUEST, attribute
from labkit.proxy.nftables_statements import TABLE, Statement, add, render_transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from labkit.fabric.namespace import Namespace

_AFRESH = (add("table", ""), Statement("delete", "table", ""))
_REFUSAL = re.compile(r"^\S*?(\d+):\d+(?:-\d+)?: Error: (.*)$", re.MULTILINE)
_TIMEOUT = re.compile(r"timeout (\d+)s")
_AFFINITY = "affinity-"
_NETFILTER, _NEW_TABLE, _GET_TABLE, _TABLE_NAME = 12, 10 << 8, 10 << 8 | 1, 1  # nf_tables.h
_HEAD = struct.Struct("=IHHII")
_FAMILY_HEAD = struct.Struct("=BBH")


@dataclass(frozen=True, slots=True)
class HeldTable:
    """The table `ip kube-proxy` as the guest holds it.

    `rules` counts them by chain, `elements` by set or map; `sticky` has, by affinity set, the seconds for
    which each client is still remembered.
    """

    rules: Mapping[str, int]
    elements: Mapping[str, int]
    sticky: Mapping[str, Mapping[str, int]]


def has_table(namespace: Namespace) -> bool:
    """Return whether the namespace has a table `ip kube-proxy`; asked without starting a process."""
    return namespace.run(_table_is_there)


def read_table(namespace: Namespace) -> HeldTable:
    """Return kube-proxy's table as the guest holds it; an empty one if there is none."""
    if not has_table(namespace):
        return HeldTable({}, {}, {})
    done = namespace.command(["nft", "-j", "list", "table", "ip", TABLE])
    if done.status:
        raise ProgramError(f"the table cannot be read: {done.complaint}", where=namespace.name)
    rules: dict[str, int] = {}
    elements: dict[str, int] = {}
    sticky: dict[str, dict[str, int]] = {}
    for kind, value in (pair for one in json.loads(done.stdout)["nftables"] for pair in one.items()):
        if kind == "chain":
            rules.setdefault(value["name"], 0)
        elif kind == "rule":
            rules[value["chain"]] = rules.get(value["chain"], 0) + 1
        elif kind in {"set", "map"}:
            elements[value["name"]] = len(value.get("elem", ()))
            if value["name"].startswith(_AFFINITY):
                sticky[value["name"]] = _clients(value.get("elem", ()))
    return HeldTable(rules, elements, sticky)


def apply_transaction(namespace: Namespace, transaction: Sequence[Statement]) -> int:
    """Make the table what `transaction` makes of an empty one; return how many statements that took.

    Other tables are not touched. Raises ProgramError with the failing line and nft's own words; the rules
    from before are in force then.
    """
    sets = [one for one in transaction if one.kind == "set" and one.name.startswith(_AFFINITY)]
    sticky = read_table(namespace).sticky if sets else {}
    return send_statements(namespace, (*_AFRESH, *transaction, *_remembered(sets, sticky)), len(_AFRESH))


def send_statements(namespace: Namespace, statements: Sequence[Statement], unnumbered: int = 0) -> int:
    """Send one transaction, all or nothing, and return its length.

    Raises ProgramError with the failing line, counted after `unnumbered` ones, and nft's own words.
    """
    done = namespace.command(["nft", "-f", "-"], stdin=render_transaction(statements))
    if done.status == 0:
        return len(statements)
    if done.killed:
        raise ProgramError(
            f"nft did not finish ({done.complaint}): its transaction is in force as a whole or not at all",
            where=namespace.name,
        )
    refused = _REFUSAL.search(done.stderr)
    if not refused:
        raise ProgramError(refused_because(done.complaint), where=namespace.name)
    number = int(refused[1])
    raise ProgramError(
        refused_because(refused[2]),
        where=f"{namespace.name}, line {number - unnumbered}: {statements[number - 1].line}",
        todo="correct that rule, or what it names; `labkit doctor` tells what this Linux has",
    )


def delete_table(namespace: Namespace) -> int:
    """Remove kube-proxy's table with all that is in it; return how many there were, 1 or 0."""
    if not has_table(namespace):
        return 0
    done = namespace.command(["nft", "delete", "table", "ip", TABLE])
    if done.status:
        raise ProgramError(f"the table cannot be deleted: {done.complaint}", where=namespace.name)
    return 1


def refused_because(words: str) -> str:
    """Return the sentence that the guest refused a transaction, for the reason that `words` give."""
    return f"the guest refused the nftables rules, those from before are in force: {words}"


def _clients(elements: Iterable[Any]) -> dict[str, int]:
    return {one["elem"]["val"]: one["elem"].get("expires", 0) for one in elements}


def _remembered(sets: Iterable[Statement], sticky: Mapping[str, Mapping[str, int]]) -> Iterator[Statement]:
    """Yield the elements that bring back what the affinity `sets` remembered, for no longer than they do."""
    for one in sets:
        timeout = _TIMEOUT.search(one.body)
        most_s = int(timeout[1]) if timeout else 0
        for client, left_s in sticky.get(one.name, {}).items():
            if left_s > 0:
                yield add("element", one.name, f"{{ {client} expires {min(left_s, most_s)}s }}")


def _table_is_there() -> bool:
    body = _FAMILY_HEAD.pack(socket.AF_INET, 0, 0) + attribute(_TABLE_NAME, TABLE.encode() + b"\0")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as netfilter:
        netfilter.send(_HEAD.pack(_HEAD.size + len(body), _GET_TABLE, NLM_F_REQUEST, 1, 0) + body)
        _, kind, *_ = _HEAD.unpack_from(netfilter.recv(4096))
    # The answer is the table, or an error: there is none, or this Linux has no nf_tables at all.
    return bool(kind == _NEW_TABLE)
