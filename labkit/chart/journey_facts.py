"""What can be said about a journey as a whole: its title, how it was forwarded, what came of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.chart.facts import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.measure.journey.journey import Journey

ENDS: Mapping[str | None, str] = {
    "refused": "refused",
    "timeout": "no answer",
    "reset": "reset",
    None: "no answer",
}


def title_of(journey: Journey) -> str:
    """Return the journey in one line: who asked whom, and who answered."""
    asked, came = journey.question, journey.outcome
    end: str = "no answer" if came.error in {None, "timeout"} else f"{came.error}"
    if came.answered_by:
        end = f"{short_name(came.answered_by)} answers"
    whom = asked.service if asked.service == asked.target else f"{asked.service} ({asked.target})"
    return f"{asked.client} asks {whom}: {end}"


def subtitle_of(journey: Journey) -> str:
    """Return how the journey was forwarded, and where it was recorded."""
    made = journey.provenance
    choice = f"scheduler {made.algorithm}" if made.mode == "ipvs" else f"a {made.algorithm} pod"
    where = f"kube-proxy {made.kube_proxy}, Linux {made.guest.release}"
    return f"{made.mode} mode, {choice}, {journey.question.protocol}; {where}"


def footer_of(journey: Journey, steps_left: int = 0) -> str:
    """Return what came of it, and how much is not shown or could not be seen."""
    came, parts = journey.outcome, []
    if steps_left:
        parts.append(f"{counted(steps_left, 'more step')} in journey.table().")
    if came.answered_by:
        parts.append(f"Answered by {came.answered_by}, which saw {came.seen_as} as its client.")
    elif came.drop:
        parts.append(f"Ended on {came.drop.namespace}: {came.drop.reason.removeprefix('NETFILTER_DROP: ')}.")
    elif seen := [event.namespace for event in journey.events if event.packet]:
        parts.append(f"No answer came; the last that was seen of it was in {seen[-1]}.")
    if missing := journey.provenance.missing:
        parts.append(f"This Linux could not show {counted(len(missing), 'thing')}.")
    return " ".join(parts)


def pod_address(journey: Journey) -> str:
    """Return the address at which a pod was reached, "" if none was."""
    rewritten = [one.after for one in journey.outcome.rewrites if one.kind == "DNAT"]
    asked = journey.question.target if not service_address(journey) else ""
    return rewritten[-1] if rewritten else asked


def service_address(journey: Journey) -> str:
    """Return the address that was called, "" where it was answered there: then no Service was asked."""
    came = journey.outcome
    return "" if came.reached and not came.rewrites else journey.question.target


def pod_names(journey: Journey) -> Mapping[str, str]:
    """Return the pods by the addresses at which requests reached them."""
    pods = {lane.namespace for lane in journey.lanes if lane.kind == "pod"}
    return {
        event.before.destination: event.namespace
        for event in journey.events
        if event.namespace in pods and event.direction == "request" and event.before
    }


def short_name(pod: str) -> str:
    """Return `web-1` for `default/web-1`."""
    return pod.rpartition("/")[2]
