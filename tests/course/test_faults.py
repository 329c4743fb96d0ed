"""12-three-faults, for real: each fault is noticed in the guest, and its commands mend it, nothing else.

It runs in the guest, in virtual time: `make attempts`; `make faults` for the clusters of 100 students.
"""

import json
from random import Random

import pytest
from fault_draws import draw_of_student, scene_in_mode, seed_of_student

from labkit.grade.exercises.e12_three_faults import NAME, judge, mending_commands, run_commands
from labkit.grade.faults.catalogue import FAULTS, faults_of, places_of
from labkit.grade.faults.commands import NodeCommand
from labkit.grade.faults.holding import differences, read_node
from labkit.grade.faults.symptoms import look_for
from labkit.grade.marking import mark_answer
from labkit.guest.info import current
from labkit.lab import Lab
from labkit.proxy.plans import MODES
from labkit.spec.text import Text

pytestmark = pytest.mark.skipif(
    current() is None or current().clock != "virtual", reason="in a guest in virtual time: make attempts"
)
STUDENTS = 100


@pytest.fixture(scope="module")
def healthy(request):
    """A lab in a mode, its scene, and what its nodes hold while it is well."""
    scene, manifest = scene_in_mode(request.param)
    with Lab.open(Text("faults", manifest), mode=request.param) as lab:
        yield lab, scene, read_nodes(lab)


def read_nodes(lab):
    return {name: read_node(node, lab.proxy[name].backend) for name, node in lab.nodes.items()}


def changed(before, lab):
    held = read_nodes(lab)
    return {(node, part) for node in before for part in differences(before[node], held[node])}


@pytest.mark.parametrize(
    ("healthy", "name"),
    [(mode, fault.name) for mode in MODES for fault in faults_of(mode)],
    indirect=["healthy"],
)
def test_a_fault_is_noticed_and_mended_and_nothing_else_is_changed(healthy, name):
    lab, scene, before = healthy
    place = Random(name).choice(list(places_of(scene, FAULTS[name])))
    fault = FAULTS[name].plan(scene, place)
    assert not look_for(fault.symptom, scene, lab).is_there
    assert not run_commands(lab, [NodeCommand(fault.node, argv) for argv in fault.breaks])
    assert changed(before, lab) == {(fault.node, fault.part)}
    seen = look_for(fault.symptom, scene, lab)
    assert seen.is_there, (place, seen)
    assert not run_commands(lab, [NodeCommand(fault.node, argv) for argv in fault.mends])
    assert not changed(before, lab)
    seen = look_for(fault.symptom, scene, lab)
    assert not seen.is_there, (place, seen)


def mark(number, mends):
    return mark_answer(NAME, seed_of_student(number), json.dumps({"value": mends}))


def find_students(count):
    """The first student of each mode, and then the next ones: so many in all."""
    modes = [draw_of_student(number)["mode"] for number in range(STUDENTS)]
    first = [modes.index(mode) for mode in MODES]
    return (first + [number for number in range(STUDENTS) if number not in first])[:count]


def check_student(number):
    blank = mark(number, "")
    assert blank.points == 0, blank.to_text()
    solved = mark(number, mending_commands(draw_of_student(number)))
    assert solved.points == solved.most == 7, solved.to_text()


def test_who_finds_another_way_to_let_calls_through_earns_half():
    scene, manifest = scene_in_mode("iptables")
    service = next(one for one in scene.cluster.services if one.ports[0].node_port)
    pod = next(pod for pod in scene.pods(service.name) if pod.node == "node-2")
    places = {"policy-drop": "node-1", "no-node-port": "node-2", "no-hairpin": "node-2"}
    faults = [
        {"name": name, "node": node, "service": service.name, "pod": pod.key} for name, node in places.items()
    ]
    given = {"manifest": manifest, "mode": "iptables", "_faults": faults}
    first, *others = judge(given, "ip netns exec node-1 iptables-legacy -I FORWARD -j ACCEPT")
    assert (first.points, first.most) == (1, 2), first
    assert not any(other.points for other in others)


@pytest.mark.parametrize("number", find_students(len(MODES)))
def test_a_students_cluster_is_broken_and_can_be_mended(number):
    check_student(number)


@pytest.mark.slow
@pytest.mark.parametrize("number", find_students(STUDENTS)[len(MODES) :])
def test_every_students_cluster_is_broken_and_can_be_mended(number):
    check_student(number)
