"""10-who-answers: in a drawn mode and layout, which of six calls the balancer sees, a pod, or nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.grade.exercise import Exercise, Variable
from labkit.grade.exercises.publishing import INGRESS_PORT, call, draw_published
from labkit.grade.mark import Finding
from labkit.lab import Lab
from labkit.spec.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from labkit.grade.exercise import Given

NAME = "10-who-answers"
BALANCER, SHORT_CUT, NOBODY = "balancer", "short cut", "nobody"
# (mode, the Ingress has an address of its own, ipMode): each has something that another has not.
LAYOUTS = (
    ("ipvs", False, ""),
    ("ipvs", True, ""),
    ("ipvs", False, "Proxy"),
    ("nftables", False, ""),
    ("iptables", True, ""),
)
POINTS_EACH = 0.5


def plan_draw(random: Random) -> Given:
    """Return a manifest and a mode, and the calls to predict: "pod 80" is the pod's to the Ingress."""
    published = draw_published(random)
    mode, is_apart, ip_mode = random.choice(LAYOUTS)
    app_address = published.second_address if is_apart else published.address
    return {
        "manifest": published.manifest(app_address, ip_mode),
        "mode": mode,
        "app_address": app_address,
        "api_address": published.address,
        "api_port": published.api_port,
        "calls": [f"{who} {port}" for who in ("pod", "node", "outside") for port in (80, published.api_port)],
        "_app": published.app,
    }


def judge(given: Given, predicted: Any) -> Iterator[Finding]:
    """Make the calls in the drawn mode, read the balancer's counters, and compare."""
    said = predicted if isinstance(predicted, dict) else {}
    for name, seen in _outcomes(given).items():
        is_right = said.get(name) == seen
        yield Finding(
            name,
            POINTS_EACH if is_right else 0.0,
            POINTS_EACH,
            f"{BALANCER}, {SHORT_CUT} or {NOBODY}",
            repr(said.get(name))[:60],
            "" if is_right else "whose is the address on the caller's node? Which port do rules ask for?",
        )


def _outcomes(given: Given) -> dict[str, str]:
    callers = {"pod": f"{given['_app']}-1", "node": "node-1", "outside": "outside"}
    outcomes = {}
    with Lab.open(Text(NAME, given["manifest"]), mode=given["mode"]) as lab:
        for name in given["calls"]:
            who, _, port = name.partition(" ")
            address = given["app_address"] if int(port) == INGRESS_PORT else given["api_address"]
            before = _accepted(lab)
            answer = call(lab, callers[who], address, int(port))
            way = BALANCER if _accepted(lab) > before else SHORT_CUT
            outcomes[name] = way if answer.startswith("pod=") else NOBODY
    return outcomes


def _accepted(lab: Lab) -> int:
    return sum(count.accepted for count in lab.balancer.counts().values())


EXERCISE = Exercise(NAME, 3.0, plan_draw, Variable("predicted"), judge)
