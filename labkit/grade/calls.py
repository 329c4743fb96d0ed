"""Calls from anywhere in a lab to one address: who answered, and whom the pod saw."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.grade.expect import FALSE_FAIL, SUSPICION, chance_range, implausible
from labkit.grade.mark import Finding
from labkit.traffic.flows import send_flows
from labkit.traffic.workload import FlowPlan, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.lab import Lab
    from labkit.traffic.flow import FlowOutcome, Target

TIMEOUT_S = 3.0
TRIAL_CALLS, FIRST_CALLS, MORE_CALLS = 20, 400, 1600


@dataclass(frozen=True, slots=True)
class Calls:
    """What came of calls: `answers` by pod, `errors` by kind, and the sources that the pods saw."""

    outcomes: tuple[FlowOutcome, ...]

    @property
    def total(self) -> int:
        """How many calls there were."""
        return len(self.outcomes)

    @property
    def answered(self) -> int:
        """How many were answered by a pod of the lab."""
        return sum(self.answers.values())

    @property
    def answers(self) -> Mapping[str, int]:
        """How many each pod (`namespace/name`) answered."""
        return Counter(one.pod for one in self.outcomes if one.pod is not None)

    @property
    def rewritten(self) -> tuple[str, ...]:
        """The source addresses, other than the caller's own, that pods saw."""
        seen = {_address(one.peer) for one in self.outcomes if one.peer and _is_rewritten(one)}
        return tuple(sorted(seen))

    def __str__(self) -> str:
        errors = Counter(one.error for one in self.outcomes if one.error)
        failed = "".join(f", {count} {error}" for error, count in sorted(errors.items()))
        return f"{self.answered} of {self.total} answered{failed}"


def make_calls(
    lab: Lab,
    caller: str,
    addresses: Sequence[str],
    target: Target,
    count: int,
    *,
    timeout_s: float = TIMEOUT_S,
) -> Calls:
    """Call `target` `count` times from a pod, node or client, its `addresses` in turn; a few at a time."""
    plans = [FlowPlan(number, addresses[number % len(addresses)]) for number in range(count)]
    workload = Workload(connections=count, timeout_s=timeout_s)
    return Calls(send_flows(lab.namespace(caller), target, workload, plans))


def make_shared_calls(lab: Lab, caller: str, target: Target, pods: Sequence[str]) -> Calls:
    """Call `target` from a client until it can be told whether its answers are shared evenly among `pods`.

    Only a sample that looks uneven is followed by a larger one, and both count together: a fair Service is
    found uneven by FALSE_FAIL at most. Three pods of which each takes 1/3 of what is left for it, the last
    one all, are taken for fair in less than one of a thousand trials (simulated: 13 of 20,000).
    """
    addresses = lab.network.plan.clients[caller].addresses
    shares = dict.fromkeys(pods, 1 / len(pods))
    calls = make_calls(lab, caller, addresses, target, TRIAL_CALLS)
    if not calls.answered:  # nothing to tell
        return calls
    for more in (FIRST_CALLS, MORE_CALLS):
        calls = Calls(calls.outcomes + make_calls(lab, caller, addresses, target, more).outcomes)
        if calls.answered < calls.total or not implausible(calls.answers, shares, SUSPICION):
            return calls
    return calls


def find_even_shares(counts: Mapping[str, int], total: int, points: float, todo: str) -> Finding:
    """Return whether each of `counts`, by pod, is one that chance gives a pod of `total` calls.

    Right answers fail by FALSE_FAIL at most, all pods together; `todo` is the hint where they do.
    """
    fair = chance_range(total, 1 / len(counts), FALSE_FAIL / len(counts))
    is_fair = all(count in fair for count in counts.values())
    return Finding(
        "evenly shared",
        points if is_fair else 0.0,
        points,
        f"{fair} of {total} calls at each of {len(counts)} pods: as even as chance is",
        ", ".join(f"{pod} {count}" for pod, count in counts.items()),
        "" if is_fair else todo,
    )


def _is_rewritten(outcome: FlowOutcome) -> bool:
    return _address(outcome.peer or "") != _address(outcome.client)


def _address(endpoint: str) -> str:
    return endpoint.rpartition(":")[0]
