"""A learner's commands, as text from a place that is not trusted: read, and only what mends a node taken.

A line is `ip netns exec NODE COMMAND ...` as one types it. No shell ever sees it. Each command has a grammar
of its own, made of the words that its work needs: nothing that reads a file, starts a program or leaves the
node's network namespace. What is not in the grammar is refused, whatever it would do.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from labkit.grade.faults.fault import Argv

MOST_COMMANDS = 60
MOST_LENGTH = 2000
ENTERING = ("ip", "netns", "exec")


@dataclass(frozen=True, slots=True)
class NodeCommand:
    """A command in the network namespace of a node."""

    node: str
    argv: Argv

    def __str__(self) -> str:
        return shlex.join((*ENTERING, self.node, *self.argv))


def read_commands(text: str, nodes: Collection[str]) -> tuple[NodeCommand, ...]:
    """Return the commands in `text`, one each line; blank lines and those that begin with # are none.

    Raises RequestError for what is no command of the grammar.
    """
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if len(lines) > MOST_COMMANDS:
        raise RequestError(f"these are {len(lines)} commands", todo=f"at most {MOST_COMMANDS}")
    return tuple(_read_line(line, nodes) for line in lines)


def _read_line(line: str, nodes: Collection[str]) -> NodeCommand:
    try:
        words = tuple(shlex.split(line))
    except ValueError as error:
        raise _refusal(line, f"its quotes do not end ({error})") from error
    if len(line) > MOST_LENGTH or not line.isprintable():
        raise _refusal(line, "it is too long, or has characters that cannot be printed")
    if words[:3] != ENTERING or len(words) < 5:
        raise _refusal(line, "it does not begin with ip netns exec NODE")
    node, argv = words[3], words[4:]
    if node not in nodes:
        raise _refusal(line, f"{node!r} is no node: {', '.join(nodes)}")
    grammar = GRAMMARS.get(argv[0])
    if grammar is None:
        raise _refusal(line, f"{argv[0]!r} is none of: {', '.join(GRAMMARS)}")
    if why := grammar(argv[1:]):
        raise _refusal(line, why)
    return NodeCommand(node, argv)


def _refusal(line: str, why: str) -> RequestError:
    return RequestError(
        f"a command cannot be taken: {line[:120]!r}: {why}",
        where="mends",
        todo="one command each line, as you type it in a terminal: no pipes, no files, no other programs",
    )


_NUMBER = r"[0-9]{1,10}"
_ADDRESS = r"[0-9]{1,3}(\.[0-9]{1,3}){3}"
_PREFIX = rf"{_ADDRESS}(/[0-9]{{1,2}})?"
_DEVICE = r"(eth|veth-|cni|kube-ipvs|lo)[a-z0-9-]*(@[a-z0-9-]+)?"
_MAC = r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}"
_IP_WORDS = (
    "add|del|delete|replace|change|append|set|to|dev|via|src|proto|static|kernel|boot|scope|link|global|host|"
    "metric|onlink|default|blackhole|unreachable|prohibit|unicast|table|main|lladdr|nud|permanent|reachable|"
    "stale|noarp|up|down|type|bridge_slave|hairpin|on|off|all|flush"
)
_IP_OBJECTS = re.compile(r"r(o(ute)?)?|a(ddr(ess)?)?|n(eigh(bou?r)?)?|l(ink)?")
_IP_WORD = re.compile(rf"{_IP_WORDS}|{_NUMBER}|{_PREFIX}|{_DEVICE}|{_MAC}")
_SETTING = re.compile(r"net([./][a-z0-9_-]+)+=[0-9]{1,6}")
_SET_NAME = re.compile(r"KUBE-[A-Z-]+")
_SET_MEMBER = re.compile(r"[0-9a-z.,:/-]+")
_IPVS_OPTION = re.compile(
    r"-[AEDaedtursmwpCZ]|--(add|edit|delete)-(service|server)|--(tcp|udp)-service|--(real-server|scheduler|"
    r"masquerading|weight|persistent|clear|zero)"
)
_IPVS_WORD = re.compile(rf"{_ADDRESS}:[0-9]{{1,5}}|{_NUMBER}|[a-z]{{2,8}}")
_PROGRAM = re.compile(r"-[A-Za-z0-9]*M.*|--m(o(d(p.*)?)?)?(=.*)?")  # iptables' --modprobe runs a program
_RULE_WORD = re.compile(r"[\w.,:;/!=+> ()-]+")
_NFT_VERBS = ("add", "create", "insert", "replace", "delete", "destroy", "flush")
_NFT_OBJECTS = ("rule", "element", "chain", "map", "set")
_NFT_OTHER = re.compile(r"\b(include|import|export|define|redefine|undefine|describe|monitor|list|reset)\b")
_NFT_TEXT = re.compile(r"[\w./:,{}@\"=!;*& -]*")


def _ip(words: Argv) -> str:
    if not words or not _IP_OBJECTS.fullmatch(words[0]):
        return "of ip only route, address, neighbour and link are taken"
    return _first_other(words[1:], _IP_WORD)


def _bridge(words: Argv) -> str:
    return "of bridge only link is taken" if words[:1] != ("link",) else _first_other(words[1:], _IP_WORD)


def _sysctl(words: Argv) -> str:
    settings = words[1:] if words[:1] == ("-w",) else words
    return _first_other(settings, _SETTING) or ("" if settings else "it sets nothing")


def _ipset(words: Argv) -> str:
    if words[:1] not in {("add",), ("del",), ("-A",), ("-D",)} or len(words) < 3:
        return "of ipset only add and del are taken"
    if not _SET_NAME.fullmatch(words[1]):
        return f"{words[1]!r} is no ipset of kube-proxy's"
    return _first_other(words[2:], _SET_MEMBER)


def _ipvsadm(words: Argv) -> str:
    return _first_other(words, re.compile(f"{_IPVS_OPTION.pattern}|{_IPVS_WORD.pattern}"))


def _iptables(words: Argv) -> str:
    for word in words:
        if _PROGRAM.fullmatch(word) or ".." in word:  # the latter leads out of the folder of matches
            return f"{word!r} is not taken"
    return _first_other(words, _RULE_WORD)


def _nft(words: Argv) -> str:
    text = " ".join(words).split()
    if len(text) < 2 or text[0] not in _NFT_VERBS or text[1] not in _NFT_OBJECTS:
        return f"of nft only these are taken: {', '.join(_NFT_VERBS)}; {', '.join(_NFT_OBJECTS)}"
    if not all(_NFT_TEXT.fullmatch(word) for word in words) or _NFT_OTHER.search(" ".join(words)):
        return "it has words that no rule or element needs"
    return ""


def _first_other(words: Argv, grammar: re.Pattern[str]) -> str:
    return next((f"{word!r} is not taken" for word in words if not grammar.fullmatch(word)), "")


GRAMMARS: dict[str, Callable[[Argv], str]] = {
    "ip": _ip,
    "bridge": _bridge,
    "sysctl": _sysctl,
    "iptables": _iptables,
    "iptables-legacy": _iptables,
    "iptables-nft": _iptables,
    "ipset": _ipset,
    "ipvsadm": _ipvsadm,
    "nft": _nft,
}
"""By command: why its words are refused, or ""."""
