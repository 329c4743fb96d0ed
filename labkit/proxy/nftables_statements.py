"""The statements that an nft transaction is made of, and the types of kube-proxy's maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

TABLE = "kube-proxy"
ADDRESS_MAP = "{ type ipv4_addr . inet_proto . inet_service : verdict ; }"
PORT_MAP = "{ type inet_proto . inet_service : verdict ; }"
Kind = Literal["table", "chain", "rule", "set", "map", "element"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One line of a transaction on the table `kube-proxy`.

    `name` is that of the chain, set or map meant ("" for the table itself), `body` what follows it.
    """

    verb: Literal["add", "flush", "delete"]
    kind: Kind
    name: str
    body: str = ""

    @property
    def line(self) -> str:
        """The statement as nft reads it."""
        words = (self.verb, self.kind, "ip", TABLE, self.name, self.body)
        return " ".join(word for word in words if word)


def add(kind: Kind, name: str, body: str = "") -> Statement:
    """Return the statement that adds something."""
    return Statement("add", kind, name, body)


def rule(chain: str, text: str) -> Statement:
    """Return the statement that appends a rule to a chain."""
    return Statement("add", "rule", chain, text)


def emptied_chain(name: str) -> tuple[Statement, Statement]:
    """Return the statements after which there is such a chain, without rules."""
    return add("chain", name), Statement("flush", "chain", name)


def render_transaction(statements: Iterable[Statement]) -> str:
    """Return the transaction as `nft -f` reads it."""
    return "".join(f"{statement.line}\n" for statement in statements)
