"""The stages that nodes go through: read from a clab file, and put into one order that keeps every wait-for.

Containerlab lets nodes go through them at the same time; the order here is one of those that this allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from labkit.record import Record
from labkit.spec.topology import CONTAINER, STAGES, HealthCheck, Stage, StageCommand, Wait, command_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.spec.clabfields import Block
    from labkit.spec.topology import TopologyNode

STEPS: tuple[Stage | Literal["exec"], ...] = ("create", "create-links", "configure", "exec", "healthy")
"""What a node does, in this order. Its `exec` list follows its stage `configure`."""

_IN_A_STAGE = ("wait-for", "exec")
_IN_A_COMMAND = ("command", "target", "phase")


class Step(Record):
    """A node takes one of STEPS."""

    node: str
    name: str


class StagesRead(Record):
    """What a `stages` block says, and where each wait-for stands."""

    waits: tuple[Wait, ...]
    commands: tuple[StageCommand, ...]
    places: Mapping[Wait, Any]


def read_stages(block: Block) -> StagesRead:
    """Return what the `stages` of a node, group, kind or the defaults say."""
    stages = block.block("stages")
    stages.refuse_unknown(STAGES, "a node's life")
    waits: dict[Wait, Any] = {}
    commands: list[StageCommand] = []
    for stage in STAGES:
        one = stages.block(stage)
        one.refuse_unknown(_IN_A_STAGE, f"the stage {stage}")
        waits.update(_waits(one, stage))
        commands += _commands(one, stage)
    return StagesRead(tuple(waits), tuple(commands), waits)


def _waits(block: Block, stage: Stage) -> Iterator[tuple[Wait, Any]]:
    for entry in block.items("wait-for"):
        entry.refuse_unknown(("node", "stage"), "a wait-for")
        node, until = entry.text("node", needed=True), entry.text("stage", needed=True)
        if until == "exit":
            entry.mistake(
                "wait-for the stage exit is not supported: in the lab a node has no process that could end",
                "wait for the stage configure",
                "stage",
            )
        elif until in STAGES:
            yield Wait(stage, node, _stage(until)), entry.place()
        elif until:
            entry.mistake(f"there is no stage {until}", f"there are: {', '.join(STAGES)}", "stage")


def _stage(name: str) -> Stage:
    return next(stage for stage in STAGES if stage == name)


def _commands(block: Block, stage: Stage) -> Iterator[StageCommand]:
    for entry in block.items("exec"):
        entry.refuse_unknown(_IN_A_COMMAND, "a stage's exec")
        command = entry.text("command", needed=True)
        check_command(entry, command, "command")
        target, phase = entry.text("target") or "container", entry.text("phase") or "on-enter"
        if target not in {"container", "host"}:
            entry.mistake(f"a command has no target {target}", "write container or host", "target")
        if phase not in {"on-enter", "on-exit"}:
            entry.mistake(f"a stage has no phase {phase}", "write on-enter or on-exit", "phase")
        made = StageCommand(stage, command, phase == "on-exit", target == "host")
        if stage == "exit":
            entry.mistake(
                "commands of the stage exit are not supported: a node here has no process that could end"
            )
        elif stage == "create" and not made.on_exit and not made.on_host:
            entry.mistake(
                "a node that is about to be created cannot run a command",
                "write phase: on-exit, or target: host",
            )
        else:
            yield made


def check_command(block: Block, command: str, *path: str | int) -> None:
    """Note a command whose quotes do not end."""
    try:
        command_words(command)
    except ValueError as error:
        block.mistake(f"{block.named(*path)}: {str(error).lower()}", "close the quote", *path)


def read_healthcheck(block: Block) -> HealthCheck | None:
    """Return a `healthcheck`, None where there is none. Its test is written as Docker's."""
    if block.fields.get("healthcheck") is None:
        return None
    check = block.block("healthcheck")
    check.refuse_unknown(("test", "start-period", "interval", "timeout", "retries"), "a healthcheck")
    how, *words = check.texts("test") or [""]
    test = ("sh", "-c", *words) if how == "CMD-SHELL" and len(words) == 1 else tuple(words)
    if how not in {"CMD", "CMD-SHELL"} or not words or (how == "CMD-SHELL" and len(words) > 1):
        check.mistake(
            f"{check.named('test')} is no test",
            "write [CMD, program, argument] or [CMD-SHELL, a command]",
            "test",
        )
        return None
    return HealthCheck(
        test,
        check.number("interval", 30, 1, 3600),
        check.number("retries", 3, 1, 1000),
        check.number("start-period", 0, 0, 3600),
        check.number("timeout", 30, 1, 3600),
    )


def all_waits(node: TopologyNode) -> tuple[Wait, ...]:
    """Return what a node waits for: what its stages say, and the node whose network namespace it shares."""
    if node.network_mode.startswith(CONTAINER):
        return (Wait("create", node.lives_in, "create"), *node.waits)
    return node.waits


def plan_steps(nodes: Sequence[TopologyNode]) -> tuple[tuple[Step, ...], tuple[tuple[str, Wait], ...]]:
    """Return the steps of all nodes in an order that keeps every wait, and the waits (of whom) that none can.

    The latter stand in circles, or behind one. In each round every node in turn takes one step if it may.
    """
    left = {node.name: list(STEPS) for node in nodes}
    done: set[Step] = set()
    steps: list[Step] = []
    while any(left.values()):
        before = len(steps)
        for node in nodes:
            ahead = left[node.name]
            if ahead and not _unmet(node, ahead[0], done):
                steps.append(Step(node.name, ahead.pop(0)))
                done.add(steps[-1])
        if len(steps) == before:
            stuck = ((node, wait) for node in nodes for wait in _unmet(node, left[node.name][:1], done))
            return tuple(steps), tuple((node.name, wait) for node, wait in stuck)
    return tuple(steps), ()


def _unmet(node: TopologyNode, step: Any, done: set[Step]) -> list[Wait]:
    names = (step,) if isinstance(step, str) else tuple(step)
    return [
        wait for wait in all_waits(node) if wait.stage in names and Step(wait.node, wait.until) not in done
    ]
