"""nftables mode's rules in words: which element of the maps leads to which chain, and what the chain does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from labkit.capture.entrances import INDENT, UNTRANSLATED, share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labkit.capture.entrances import Entrance

_BLOCK = re.compile(r"^\t(chain|set|map) (\S+) \{\n(.*?)^\t\}", re.MULTILINE | re.DOTALL)
_ELEMENTS = re.compile(r"elements = \{(.*)\}", re.DOTALL)
_COMMENT = re.compile(r' comment "[^"]*"')
_VERDICT = re.compile(r"(?:(goto|jump) (\S+)|(drop|reject|return))$")
_CHOICE = re.compile(r"numgen random mod (\d+) vmap \{(.*)\}$")
_CHOSEN = re.compile(r"\d+(?:-\d+)? : goto (\S+?),? ")
_ENDPOINT = re.compile(r"__([\d.]+)/(\d+)$")
_TIMEOUT = re.compile(r"timeout (\S+)")
_MARK = "mark-for-masquerade"
_CONDITIONS = (
    (re.compile(r"ip saddr != \{ ([^}]*) \}"), "from outside of {}"),
    (re.compile(r"ip saddr \{ ([^}]*) \}"), "from {}"),
    (re.compile(r"ip saddr != (\d\S*)"), "from outside of {}"),
    (re.compile(r"ip saddr (\d\S*)"), "from {}"),
    (re.compile(r"fib saddr type local()"), "from the node itself{}"),
)
_REFUSALS = {"goto reject-chain": "refused", "drop": "dropped"}


class NftReading:
    """The table `ip kube-proxy` of a node in nftables mode."""

    introduction: ClassVar[str] = (
        "In the table ip kube-proxy, maps find the chain by address and port; the chain draws an endpoint, "
        "whose own chain translates to it (DNAT). What is marked on the way is masqueraded when it leaves, "
        "and so is what an endpoint sends to itself."
    )

    def __init__(self, table: str) -> None:
        """Take the table as `nft list ruleset` prints it."""
        blocks = {(kind, name): body for kind, name, body in _BLOCK.findall(table)}
        self._chains = {
            name: [_COMMENT.sub("", line.strip()) for line in body.splitlines()]
            for (kind, name), body in blocks.items()
            if kind == "chain"
        }
        self._maps = {name: _elements(body) for (kind, name), body in blocks.items() if kind == "map"}
        self._timeouts = {
            name: found[1]
            for (kind, name), body in blocks.items()
            if kind == "set" and (found := _TIMEOUT.search(body))
        }

    def way(self, entrance: Entrance) -> tuple[str, ...]:
        """Return what the rules do with a new connection to `entrance`, line by line; () if nothing."""
        key = f"{entrance.protocol.lower()} . {entrance.port}"
        ends = "nodeports" if not entrance.address else "services"
        if entrance.address:
            key = f"{entrance.address} . {key}"
        lines: list[str] = []
        walk = _Walk(self._chains, self._timeouts, entrance)
        for name in ("firewall-ips", "service-ips" if entrance.address else "service-nodeports"):
            verdict = self._element(name, key)
            if verdict.startswith("goto "):
                lines += walk.onward(verdict.removeprefix("goto "))
        if refusal := self._element(f"no-endpoint-{ends}", key):
            lines.append(f"{UNTRANSLATED}: {_REFUSALS.get(refusal, refusal)} (no-endpoint-{ends})")
        return tuple(lines)

    def _element(self, name: str, key: str) -> str:
        return self._maps.get(name, {}).get(key, "")


class _Walk:
    """The way of one entrance: each chain is told once."""

    def __init__(
        self, chains: Mapping[str, list[str]], timeouts: Mapping[str, str], entrance: Entrance
    ) -> None:
        self._chains = chains
        self._timeouts = timeouts
        self._elsewhere = re.compile(rf"ip daddr (?!{re.escape(entrance.address or 'none')} )\d")
        self._told: set[str] = set()

    def onward(self, chain: str, start: str = "") -> Iterator[str]:
        """Yield what a chain does, which is entered as `start` says."""
        if chain in self._told:
            yield f"{start}{chain}, as above"
            return
        self._told.add(chain)
        yield f"{start}{chain}"
        for line in self._chains.get(chain, ()):
            if not self._elsewhere.search(line):  # else it is for another entrance
                yield from (INDENT + one for one in self._deed(line))

    def _deed(self, line: str) -> Iterator[str]:
        if choice := _CHOICE.search(line):
            for chain in _CHOSEN.findall(f"{choice[2]} "):
                yield f"{_endpoint(chain)}, {share(1 / int(choice[1]))}"
            return
        named = self._conditions(line)
        start = f"{named}: " if named else ""
        verdict = _VERDICT.search(line)
        if verdict is None:
            yield line
        elif verdict[3]:
            yield f"{start}{_REFUSALS.get(verdict[3], verdict[3])}"
        elif verdict[2] == _MARK:
            yield f"{start}marked, to be masqueraded"
        elif _ENDPOINT.search(verdict[2]):
            yield f"{start}{_endpoint(verdict[2])}, again"
        else:
            yield from self.onward(verdict[2], start)

    def _conditions(self, line: str) -> str:
        if found := re.search(r"ip saddr @(\S+)", line):
            return f"who was there in the last {self._timeouts.get(found[1], 'while')}"
        words = (text.format(one[1]) for pattern, text in _CONDITIONS if (one := pattern.search(line)))
        return next(words, "")


def _endpoint(chain: str) -> str:
    found = _ENDPOINT.search(chain)
    return f"{found[1]}:{found[2]}" if found else chain


def _elements(body: str) -> Mapping[str, str]:
    found = _ELEMENTS.search(body)
    pairs = (" ".join(_COMMENT.sub("", one).split()) for one in found[1].split(",")) if found else ()
    return {key: verdict for key, _, verdict in (pair.partition(" : ") for pair in pairs)}
