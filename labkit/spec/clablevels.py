"""One level of a clab file's inheritance: what the defaults, a kind, a group or a node itself say."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from labkit.record import Record
from labkit.spec.clabstages import check_command, read_healthcheck, read_stages
from labkit.spec.topology import Bind, HealthCheck, NodeKind, StageCommand, TopologyNode, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.spec.clabfields import Block
    from labkit.spec.documents import Place

_NOTHING: Mapping[str, str] = MappingProxyType({})
_NO_PLACES: Mapping[Wait, Place] = MappingProxyType({})


class LevelKeys(Record):
    """The keys that a level may have: those that mean something here, those ignored, those refused."""

    meant: tuple[str, ...]
    ignored: tuple[str, ...]
    refused: Mapping[str, str]


LEVEL_KEYS = LevelKeys(
    meant=(
        *("kind", "group", "network-mode", "env", "labels", "sysctls", "exec", "binds", "stages"),
        *("healthcheck", "mgmt-ipv4"),
    ),
    ignored=(
        *("image", "image-pull-policy", "restart-policy", "auto-remove", "type", "license", "position"),
        *("entrypoint", "cmd", "user", "startup-delay", "ports", "publish", "cpu", "cpu-set", "memory"),
        *("shm-size", "runtime", "sandbox", "kernel", "dns", "certificate", "aliases", "mgmt-ipv6"),
        *("cap-add", "devices", "config", "extras", "enforce-startup-config", "suppress-startup-config"),
    ),
    refused={
        "startup-config": "no kind that the lab builds reads one",
        "env-files": "write the variables below env",
        "components": "no kind that the lab builds has any",
        "credentials": "no kind that the lab builds has any",
    },
)
IMPORT_ENVIRONMENT = "__IMPORT_ENVS"


@dataclass(frozen=True, slots=True)
class Level:
    """What one level says; "" and () where it says nothing."""

    kind: str = ""
    group: str = ""
    network_mode: str = ""
    mgmt_ipv4: str = ""
    image: str = ""
    cmd: str = ""
    user: str = ""
    env: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    labels: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    sysctls: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    binds: tuple[Bind, ...] = ()
    exec: tuple[str, ...] = ()
    waits: tuple[Wait, ...] = ()
    stage_commands: tuple[StageCommand, ...] = ()
    healthcheck: HealthCheck | None = None
    wait_places: Mapping[Wait, Place] = field(default_factory=lambda: _NO_PLACES)

    def with_closer(self, closer: Level) -> Level:
        """Return this level with a closer one over it: words replace, mappings merge, lists are appended.

        Of binds to the same target the closer one stays; a wait that is there already is not repeated.
        """
        binds = {bind.target: bind for bind in (*self.binds, *closer.binds)}
        return Level(
            kind=closer.kind or self.kind,
            group=closer.group or self.group,
            network_mode=closer.network_mode or self.network_mode,
            mgmt_ipv4=closer.mgmt_ipv4,
            image=closer.image or self.image,
            cmd=closer.cmd or self.cmd,
            user=closer.user or self.user,
            env={**self.env, **closer.env},
            labels={**self.labels, **closer.labels},
            sysctls={**self.sysctls, **closer.sysctls},
            binds=tuple(binds.values()),
            exec=self.exec + closer.exec,
            waits=tuple(dict.fromkeys(self.waits + closer.waits)),
            stage_commands=self.stage_commands + closer.stage_commands,
            healthcheck=closer.healthcheck or self.healthcheck,
            wait_places={**closer.wait_places, **self.wait_places},
        )

    def in_group(self, group: str) -> Level:
        """Return this level as one of a node in `group`."""
        return replace(self, group=group)

    def node(self, name: str, kind: NodeKind) -> TopologyNode:
        """Return the node of which this is all that is said."""
        return TopologyNode(
            name=name,
            kind=kind,
            group=self.group,
            network_mode="" if self.network_mode == "bridge" else self.network_mode,
            mgmt_ipv4=self.mgmt_ipv4,
            image=self.image,
            cmd=self.cmd,
            user=self.user,
            env=tuple(sorted(self.env.items())),
            labels=tuple(sorted(self.labels.items())),
            sysctls=tuple(sorted(self.sysctls.items())),
            binds=tuple(sorted(self.binds, key=lambda bind: bind.target)),
            exec=() if kind == "bridge" else self.exec,
            waits=self.waits,
            stage_commands=self.stage_commands,
            healthcheck=self.healthcheck,
        )


def read_level(block: Block, *, is_node: bool = False) -> Level:
    """Return what one mapping of node settings says; `is_node`: it is a node's own."""
    _check_keys(block, is_node=is_node)
    stages = read_stages(block)
    commands = block.texts("exec")
    for at, command in enumerate(commands):
        check_command(block, command, "exec", at)
    return Level(
        kind=block.text("kind").strip(),
        group=block.text("group"),
        network_mode=block.text("network-mode"),
        mgmt_ipv4=block.text("mgmt-ipv4"),
        image=block.text("image"),
        cmd=block.text("cmd"),
        user=block.text("user"),
        env=_env(block),
        labels=block.pairs("labels"),
        sysctls=_sysctls(block),
        binds=tuple(filter(None, (_bind(block, at, text) for at, text in enumerate(block.texts("binds"))))),
        exec=tuple(commands),
        waits=stages.waits,
        stage_commands=stages.commands,
        healthcheck=read_healthcheck(block),
        wait_places=stages.places,
    )


def _check_keys(block: Block, *, is_node: bool) -> None:
    keys = LEVEL_KEYS
    what = "a node" if is_node else block.named()
    block.refuse_unknown((*keys.meant, *keys.ignored, *keys.refused), what)
    for key, reason in keys.refused.items():
        if key in block.fields:
            block.mistake(f"{key} is not supported", reason, key, at_key=True)
    if not is_node and "mgmt-ipv4" in block.fields:
        block.mistake("mgmt-ipv4 is one node's address", "write it at that node", "mgmt-ipv4", at_key=True)


def _env(block: Block) -> Mapping[str, str]:
    env = block.pairs("env")
    if IMPORT_ENVIRONMENT in env:
        block.mistake(
            f"{IMPORT_ENVIRONMENT} is not supported",
            "write the variables themselves",
            "env",
            IMPORT_ENVIRONMENT,
            at_key=True,
        )
    return env


def _sysctls(block: Block) -> Mapping[str, str]:
    sysctls = block.pairs("sysctls")
    for name in sysctls:
        if not name.replace("/", ".").startswith("net."):
            block.mistake(
                f"the sysctl {name} is not supported: it is no network namespace's own",
                "leave it out: only those that begin with net. are a node's",
                "sysctls",
                name,
                at_key=True,
            )
    return sysctls


def _bind(block: Block, at: int, text: str) -> Bind | None:
    source, colon, rest = text.partition(":")
    target, _, options = rest.partition(":")
    if not colon:
        block.mistake(
            f"{text!r}: a volume without a source is not supported", "write SOURCE:TARGET", "binds", at
        )
    elif not source or not target.startswith("/"):
        block.mistake(
            f"{text!r} is no bind", "write SOURCE:/TARGET, with :ro if it is read-only", "binds", at
        )
    elif source.startswith(("__clabNodeDir__", "__clabDir__")):
        block.mistake(
            f"{source} is not supported: containerlab makes that folder, the lab none",
            "bind a folder beside the clab file",
            "binds",
            at,
        )
    else:
        return Bind(source, target, "ro" in options.split(","))
    return None
