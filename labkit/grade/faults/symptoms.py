"""Who is answered: a symptom in words, and looked for with real calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.grade.calls import make_calls
from labkit.grade.expect import FALSE_FAIL, implausible
from labkit.grade.faults.scene import CLIENT, OUTSIDE
from labkit.traffic.flow import Target

if TYPE_CHECKING:
    from labkit.grade.calls import Calls
    from labkit.grade.faults.fault import Symptom
    from labkit.grade.faults.scene import Scene
    from labkit.lab import Lab

CALLS = {"answered": 70, "shared": 200, "itself": 70}
"""How many: that one pod of four is not chosen once in 70 calls has a chance of 0.75 ** 70, 2e-9."""
TIMEOUT_S = 0.5
"""Before TCP tries again, after a second. To iptables and nftables a second SYN is a new connection: they
choose anew, and most calls to a Service with one dead pod are answered after all, only late.
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What calls showed: whether the symptom is there, and what was seen."""

    is_there: bool
    words: str


def say_symptom(symptom: Symptom, scene: Scene) -> str:
    """Return the complaint of who notices: one line."""
    head = f"{_who(symptom.caller, scene)}: {symptom.service} at {symptom.address}:{symptom.port}"
    if symptom.kind == "itself":
        return f"{head} never leads back to {scene.pod(symptom.caller).name} itself"
    if symptom.kind == "shared":
        return f"{head} prefers some of its pods to others"
    return f"{head} does not answer every call within {TIMEOUT_S} s"


def say_health(symptom: Symptom) -> str:
    """Return what there would be to see without the fault."""
    calls = CALLS[symptom.kind]
    if symptom.kind == "itself":
        return f"some of {calls} calls answered by the pod itself"
    shared = ", shared evenly" if symptom.kind == "shared" else ""
    return f"{calls} of {calls} calls answered within {TIMEOUT_S} seconds{shared}"


def look_for(symptom: Symptom, scene: Scene, lab: Lab) -> Seen:
    """Make the calls, and return whether the symptom is there."""
    calls = make_calls(
        lab,
        symptom.caller,
        _addresses(symptom.caller, scene),
        Target(symptom.address, symptom.port),
        CALLS[symptom.kind],
        timeout_s=TIMEOUT_S,
    )
    if symptom.kind == "itself":
        own = calls.answers.get(symptom.caller, 0)
        return Seen(own == 0, f"{own} by itself; {calls}")
    if symptom.kind == "answered":
        return Seen(calls.answered < calls.total, str(calls))
    return _look_at_shares(calls, [pod.key for pod in scene.pods(symptom.service)])


def _look_at_shares(calls: Calls, pods: list[str]) -> Seen:
    uneven = implausible(calls.answers, dict.fromkeys(pods, 1 / len(pods)), FALSE_FAIL)
    counts = ", ".join(f"{pod.partition('/')[2]} {calls.answers.get(pod, 0)}" for pod in pods)
    return Seen(bool(uneven) or calls.answered < calls.total, f"{calls}: {counts}")


def _who(caller: str, scene: Scene) -> str:
    if caller == OUTSIDE:
        return caller
    if caller == CLIENT:
        return f"{caller} on {scene.node('').name}"
    pod = scene.pod(caller)
    return f"{pod.name} on {pod.node}"


def _addresses(caller: str, scene: Scene) -> tuple[str, ...]:
    clients = scene.network.clients
    return clients[caller].addresses if caller in clients else (scene.pod(caller).address,)
