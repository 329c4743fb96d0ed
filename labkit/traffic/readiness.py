"""Readiness of one container, as a kubelet works it out from its probe's results: a pure state machine.

A container is not ready before its probe has succeeded `success_threshold` times in a row, and no longer when
it has failed `failure_threshold` times in a row (Kubernetes v1.30, pkg/kubelet/prober/worker.go). Probes come
with the ticks of a clock that starts with the container and ticks every `period_s`; those before
`initial_delay_s` are left out: a delay of 5 s with a period of 10 s means 10 s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.spec.model import Probe


@dataclass(frozen=True, slots=True)
class Readiness:
    """What is known of a container. `run` equal results in a row ended with `last`; None: no result yet."""

    probe: Probe
    due_s: float
    is_ready: bool = False
    last: bool | None = None
    run: int = 0


def started(probe: Probe, now_s: float) -> Readiness:
    """Return the readiness of a container that starts now: none, and when to probe first."""
    return Readiness(probe, now_s + -(-probe.initial_delay_s // probe.period_s) * probe.period_s)


def settled(probe: Probe, now_s: float, *, is_ready: bool) -> Readiness:
    """Return the readiness of a container that has long been running: as it was, with a probe due now."""
    return Readiness(probe, now_s, is_ready)


def after(readiness: Readiness, *, succeeded: bool, now_s: float) -> Readiness:
    """Return the readiness after one more result.

    The next probe is due at the next of the probe's ticks after now: one that took longer than a period
    leaves ticks out, as Go's tickers do.
    """
    probe = readiness.probe
    run = readiness.run + 1 if succeeded == readiness.last else 1
    threshold = probe.success_threshold if succeeded else probe.failure_threshold
    missed = max(0, int((now_s - readiness.due_s) // probe.period_s))
    return replace(
        readiness,
        due_s=readiness.due_s + (missed + 1) * probe.period_s,
        is_ready=succeeded if run >= threshold else readiness.is_ready,
        last=succeeded,
        run=run,
    )
