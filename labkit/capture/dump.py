"""What a node's own tools print -> Dump: what of it is kube-proxy's, and in words what is not.

A file is known by its content: iptables-save, ipvsadm-save -n (or ipvsadm -S -n), ipset save, or nft list
ruleset. Whatever is none of these are objects, as `kubectl get -o yaml` prints them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from labkit.capture.ownership import foreign_chains, own_tables
from labkit.errors import Mistake, RequestError, SpecError
from labkit.proxy.ipvs_sets import SET_NAMES
from labkit.proxy.nftables_statements import TABLE
from labkit.proxy.restore import parse_save, runs_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.proxy.plans import Mode
    from labkit.proxy.rules import CountedTable
    from labkit.spec.text import Text

Tool = Literal["iptables-save", "ipvsadm", "ipset", "nft", ""]

_IPTABLES = re.compile(r"^\*(?:filter|nat|mangle|raw|security)$", re.MULTILINE)
_NFT = re.compile(r"^table \S+ \S+ \{", re.MULTILINE)
_NFT_TABLE = re.compile(r"^table (\S+) (\S+) \{.*?^\}", re.MULTILINE | re.DOTALL)
_IPVS = re.compile(r"^-[Aa] (?:-[tuf]|--\S+-service) ")
_IPSET = re.compile(r"^(?:create|add) \S+ ")
_SERVICE = r"(?:-t|-u|--tcp-service|--udp-service|--sctp-service) [\d.]+:\d+"
_SERVER = re.compile(
    rf"-A {_SERVICE} -s \w+(?: -p \d+)?(?: -M [\d.]+)?(?: -b [\w,-]+)?(?: -o)?"
    rf"|-a {_SERVICE} -r [\d.]+:\d+ -[mgi] -w \d+(?: -x \d+)?(?: -y \d+)?"
)
_OTHER_SERVER = re.compile(r"-[Aa] (?:-f \d+|\S+ \[)")  # of a firewall mark, or of IPv6
_NFT_INCLUDES = re.compile(r"^\s*include\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Dump:
    """What of kube-proxy's a node held, in the words of its tools; `left_out` says what else there was.

    `tables` are iptables' with kube-proxy's chains and the jumps to them, `servers` the lines of ipvsadm,
    `sets` those of ipset, `nft` the table `ip kube-proxy`. None where that tool's output was not given.
    """

    tables: Mapping[str, CountedTable] | None
    servers: tuple[str, ...] | None
    sets: tuple[str, ...] | None
    nft: str | None
    left_out: tuple[str, ...]

    @property
    def mode(self) -> Mode:
        """The mode that kube-proxy ran in."""
        if self.nft:
            return "nftables"
        chains = {name for table in (self.tables or {}).values() for name in table.chains}
        return "ipvs" if self.servers is not None or "KUBE-IPVS-FILTER" in chains else "iptables"


def tool_of(text: str) -> Tool:
    """Return which tool printed `text`, "" for none of those known."""
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    if _IPTABLES.match(first):
        return "iptables-save"
    if _NFT.match(first):
        return "nft"
    if _IPVS.match(first):
        return "ipvsadm"
    return "ipset" if _IPSET.match(first) else ""


def read_dump(texts: Sequence[Text]) -> Dump:
    """Return what the texts that tools printed hold of kube-proxy's.

    Raises SpecError with every line that the tools do not print, RequestError where nothing of kube-proxy's
    is in them or a tool's output is given twice.
    """
    by_tool = _by_tool(texts)
    mistakes: list[Mistake] = []
    tables = servers = sets = nft = None
    left_out: list[str] = []
    if text := by_tool.get("iptables-save"):
        whole = _read_tables(text, mistakes)
        tables = own_tables(whole)
        left_out += foreign_chains(whole)
    if text := by_tool.get("ipvsadm"):
        servers = tuple(_server_lines(text, mistakes, left_out))
    if text := by_tool.get("ipset"):
        sets = tuple(_set_lines(text, left_out))
    if text := by_tool.get("nft"):
        nft = _own_nft(text, mistakes, left_out)
    if mistakes:
        raise SpecError(mistakes)
    dump = Dump(tables, servers, sets, nft, tuple(left_out))
    _require_something(dump, [text.name for text in texts])
    return dump


def _by_tool(texts: Sequence[Text]) -> dict[Tool, Text]:
    found: dict[Tool, Text] = {}
    for text in texts:
        tool = tool_of(text.text)
        if tool in found:
            raise RequestError(
                f"both {found[tool].name} and {text.name} are the output of {tool}",
                todo="give what one node printed, once",
            )
        found[tool] = text
    return found


def _require_something(dump: Dump, names: Sequence[str]) -> None:
    chains = any(table.chains for table in (dump.tables or {}).values())
    if not (chains or dump.servers or dump.nft):
        raise RequestError(
            "nothing of kube-proxy's is in what the node printed",
            where=", ".join(names) or "the files given",
            todo="on the node, as root: iptables-save, ipvsadm-save -n and ipset save, or nft list ruleset",
        )


def _read_tables(text: Text, mistakes: list[Mistake]) -> Mapping[str, CountedTable]:
    if "ip6tables-save" in text.text.partition("\n")[0]:
        mistakes.append(Mistake(text.name, "the lab speaks IPv4", "give the output of iptables-save"))
        return {}
    try:
        tables = parse_save(text.text)
    except (ValueError, KeyError) as error:
        line = str(error).partition(": ")[2] if isinstance(error, ValueError) else f"-A {error.args[0]}"
        number = next((at for at, one in enumerate(text.text.split("\n"), 1) if line and line in one), 1)
        mistakes.append(Mistake(f"{text.name}:{number}", f"iptables-save prints no such line: {line}"))
        return {}
    for table in tables.values():
        for name, chain in table.chains.items():
            for one in chain.rules:
                if runs_program(one.rule):
                    message = f"a rule of {name} would run a program: {' '.join(one.rule)}"
                    mistakes.append(Mistake(text.name, message, "iptables-save prints no such rule"))
    return tables


def _server_lines(text: Text, mistakes: list[Mistake], left_out: list[str]) -> Iterator[str]:
    other = 0
    for number, whole in enumerate(text.text.splitlines(), 1):
        line = whole.strip()
        if _SERVER.fullmatch(line):
            yield line
        elif _OTHER_SERVER.match(line):
            other += line.startswith("-A")
        elif line:
            place = f"{text.name}:{number}"
            mistakes.append(
                Mistake(
                    place, f"ipvsadm prints no such line: {line}", "numbers instead of names: ipvsadm-save -n"
                )
            )
    if other:
        left_out.append(f"{other} virtual servers of IPv6 or of firewall marks")


def _set_lines(text: Text, left_out: list[str]) -> Iterator[str]:
    foreign: Counter[str] = Counter()
    for line in text.text.splitlines():
        verb, _, rest = line.partition(" ")
        name = rest.partition(" ")[0]
        if name in SET_NAMES:
            yield line
        elif verb == "create":
            foreign[name] += 1
    if foreign:
        left_out.append(
            f"{len(foreign)} ipsets that are not kube-proxy's for IPv4, such as {next(iter(foreign))}"
        )


def _own_nft(text: Text, mistakes: list[Mistake], left_out: list[str]) -> str:
    own = ""
    foreign = []
    for found in _NFT_TABLE.finditer(text.text):
        if (found[1], found[2]) == ("ip", TABLE):
            own = found[0] + "\n"
        else:
            foreign.append(f"{found[1]} {found[2]}")
    if _NFT_INCLUDES.search(own):
        mistakes.append(Mistake(text.name, "a line would read another file", "nft list prints no such line"))
    if foreign:
        left_out.append(f"the nftables tables {', '.join(foreign)}")
    return own
