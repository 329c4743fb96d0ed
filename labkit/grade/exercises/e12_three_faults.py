"""12-three-faults: a cluster with three faults, to be found in a live lab and mended by commands.

The answer is the commands, as text. The judge builds the cluster anew, breaks it in the same way, gives the
commands and looks at what each node then holds, and where that is not what it was, at who is answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.errors import ProgramError, RequestError
from labkit.grade.draws import draw_seed, key_here
from labkit.grade.exercise import Exercise, Variable
from labkit.grade.exercises import clusters
from labkit.grade.faults.catalogue import FAULTS, draw_faults
from labkit.grade.faults.commands import NodeCommand, read_commands
from labkit.grade.faults.fault import Place
from labkit.grade.faults.holding import differences, read_node
from labkit.grade.faults.scene import plan_scene
from labkit.grade.faults.symptoms import look_for, say_health, say_symptom
from labkit.grade.mark import Finding
from labkit.lab import Lab
from labkit.proxy.plans import MODES
from labkit.spec.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from random import Random

    from labkit.grade.exercise import Given
    from labkit.grade.faults.fault import PlannedFault
    from labkit.grade.faults.scene import Scene
    from labkit.proxy.state import State

NAME = "12-three-faults"
MOST_EACH, MOST_BESIDE = 2.0, 1.0
ORDINALS = ("first", "second", "third")


def plan_draw(random: Random) -> Given:
    """Return a cluster of two nodes and two Services, a mode, and what users complain of."""
    names, lasts = random.sample(clusters.APPS, 2), random.sample(range(10, 250), 2)
    ports = random.sample([80, 443, 3000, 5432, 6379, 8080], 2)
    pod_ports = random.sample(range(8000, 9000), 2)
    addresses = [f"10.96.{random.randint(1, 254)}.{last}" for last in lasts]
    manifest = clusters.joined(
        clusters.nodes(2),
        clusters.deployment(names[0], 4, pod_ports[0]),
        clusters.deployment(names[1], random.randint(3, 4), pod_ports[1]),
        clusters.service(
            names[0],
            type="NodePort",
            port=ports[0],
            node_port=random.randrange(30000, 32768),
            cluster_ip=addresses[0],
        ),
        clusters.service(names[1], port=ports[1], cluster_ip=addresses[1]),
    )
    mode = random.choice(MODES)
    scene = plan_scene(manifest, mode)
    drawn = draw_faults(random, scene)
    return {
        "manifest": manifest,
        "mode": mode,
        "complaints": [say_symptom(fault.plan(scene, place).symptom, scene) for fault, place in drawn],
        "_faults": [
            {"name": fault.name, "node": place.node, "service": place.service, "pod": place.pod}
            for fault, place in drawn
        ],
    }


def plan_faults(given: Given) -> tuple[Scene, tuple[PlannedFault, ...]]:
    """Return the scene of a draw, and its faults."""
    scene = plan_scene(given["manifest"], given["mode"])
    return scene, tuple(
        FAULTS[one["name"]].plan(scene, Place(one["node"], one["service"], one["pod"]))
        for one in given["_faults"]
    )


def break_lab(given: Given, lab: Lab) -> None:
    """Break a lab of the draw's cluster. Raises ProgramError where the guest refuses a command."""
    _, faults = plan_faults(given)
    commands = [NodeCommand(fault.node, argv) for fault in faults for argv in fault.breaks]
    if refused := run_commands(lab, commands):
        raise ProgramError(f"a fault cannot be made: {refused[0]}", todo="labkit doctor")


def run_commands(lab: Lab, commands: Sequence[NodeCommand]) -> list[str]:
    """Run the commands in their order; return those that failed, with what they said."""
    failed = []
    for command in commands:
        done = lab.namespace(command.node).command(command.argv)
        if done.status:
            failed.append(f"{command}: {done.complaint}")
    return failed


def model_answer() -> str:
    """Return the commands that mend this student's draw: for the lesson's solution and the tests."""
    return mending_commands(EXERCISE.draws(draw_seed(key_here(), NAME))[0])


def mending_commands(given: Given) -> str:
    """Return the commands that mend a draw, one each line."""
    _, faults = plan_faults(given)
    return "\n".join(str(NodeCommand(fault.node, argv)) for fault in faults for argv in fault.mends)


def judge(given: Given, mends: Any) -> Iterator[Finding]:
    """Break a cluster, give the commands, and compare with what it was before."""
    scene, faults = plan_faults(given)
    if not isinstance(mends, str):
        raise RequestError("the mends are no text", todo='write them as one text: mends = """..."""')
    commands = read_commands(mends, [node.name for node in scene.cluster.nodes])
    with Lab.open(Text(NAME, given["manifest"]), mode=given["mode"]) as lab:
        wanted = _read_nodes(lab)
        break_lab(given, lab)
        failed = run_commands(lab, commands)
        held = _read_nodes(lab)
        differing = {
            (node, part): said
            for node in wanted
            for part, said in differences(wanted[node], held[node]).items()
        }
        mended = 0
        for fault, ordinal in zip(faults, ORDINALS, strict=True):
            finding = _look_at(fault, f"{ordinal} complaint", differing, scene, lab)
            mended += finding.points == finding.most
            yield finding
    beside = {place: said for place, said in differing.items() if place not in _places(faults)}
    yield _look_beside(beside, failed, mended)


def _read_nodes(lab: Lab) -> dict[str, State]:
    return {name: read_node(node, lab.proxy[name].backend) for name, node in lab.nodes.items()}


def _places(faults: Sequence[PlannedFault]) -> set[tuple[str, str]]:
    return {(fault.node, fault.part) for fault in faults}


def _look_at(
    fault: PlannedFault,
    part: str,
    differing: Mapping[tuple[str, str], Sequence[str]],
    scene: Scene,
    lab: Lab,
) -> Finding:
    expected = f"{fault.node} holds what it held before; {say_health(fault.symptom)}"
    if (fault.node, fault.part) not in differing:
        return Finding(part, MOST_EACH, MOST_EACH, expected, "it does")
    seen = look_for(fault.symptom, scene, lab)
    if seen.is_there:
        return Finding(part, 0.0, MOST_EACH, expected, seen.words, fault.hint)
    todo = "calls work, but make it what it was: compare with the other node"
    words = f"{seen.words}; but not what it was: {fault.part}"
    return Finding(part, MOST_EACH / 2, MOST_EACH, expected, words, todo)


def _look_beside(
    beside: Mapping[tuple[str, str], Sequence[str]], failed: Sequence[str], mended: int
) -> Finding:
    changed = [f"{node}: {sentence}" for (node, _), said in beside.items() for sentence in said]
    trouble = [*failed, *changed]
    seen, todo = "so it is", ""
    if trouble:
        seen, todo = "; ".join(trouble)[:400], "leave out what fails, and what changes more than the faults"
    elif not mended:
        seen, todo = "nothing is mended", "mend one of the three first"
    points = 0.0 if todo else MOST_BESIDE
    expected = "something mended, no command failed, and all else is as it was"
    return Finding("nothing else", points, MOST_BESIDE, expected, seen, todo)


EXERCISE = Exercise(
    NAME,
    3 * MOST_EACH + MOST_BESIDE,
    plan_draw,
    Variable("mends"),
    judge,
    prepare=break_lab,
)
