"""ChangingCluster: a live cluster in which pods die, come back, and leave or enter their Services."""

from __future__ import annotations

import contextlib
import threading
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, get_args

from labkit.errors import LabError, RequestError
from labkit.lab.live import LiveCluster
from labkit.spec.events import Death, EndpointState, Happening
from labkit.spec.podstates import PodState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.lab.live import Progress
    from labkit.spec.addressplan import NamespacePlan
    from labkit.spec.events import Event

POD_STATES: Mapping[EndpointState, PodState] = {
    "ready": PodState(),
    "not-ready": PodState(is_ready=False),
    "terminating": PodState(is_terminating=True),
    "removed": PodState(is_removed=True),
}


class ChangingCluster(LiveCluster):
    """A live cluster, and what can happen to its pods."""

    _deaths: dict[str, Death]

    @property
    def deaths(self) -> Mapping[str, Death]:
        """How those pods (`namespace/name`) died that are dead now."""
        return MappingProxyType(self._deaths)

    def kill(self, pod: str, death: Death = "refuses") -> None:
        """Let a pod die. Nobody is told: only a readiness probe finds out, and only then kube-proxy.

        `refuses`: its program is gone; its address answers with resets. `unreachable`: its network is gone;
        what is sent to it vanishes. Raises RequestError for an unknown pod or death.
        """
        plan = self._known_pod(pod)
        if death not in get_args(Death):
            raise _unknown("way to die", death, get_args(Death))
        if death == "refuses":
            self.backends.kill(self._pod_key(pod))
            self._deaths[self._pod_key(pod)] = death
            return
        if plan.kind == "node":
            raise RequestError(
                f"pod {pod} is on its node's own network: it cannot vanish alone",
                where=f"node {plan.name}",
                todo='let its program die: lab.kill(..., "refuses")',
            )
        self.network.unplug(plan.name)
        self._deaths[self._pod_key(pod)] = death

    def revive(self, pod: str) -> None:
        """Start a pod again, however it died; with a readiness probe it is ready when that succeeds."""
        plan, key = self._known_pod(pod), self._pod_key(pod)
        if plan.kind == "pod":
            self.network.plug_in(plan.name)
        self.backends.revive(key)
        self._deaths.pop(key, None)
        self._prober.restart(key)

    def set_endpoint(self, pod: str, state: EndpointState) -> None:
        """Change a pod's state in the EndpointSlices of its Services, and let kube-proxy program that.

        `terminating`: being deleted and still serving; `removed`: in no slice any more. The pod itself goes
        on. A later result of its readiness probe changes ready again. Raises RequestError for an unknown pod
        or state.
        """
        self._known_pod(pod)
        if state not in POD_STATES:
            raise _unknown("state of an endpoint", state, tuple(POD_STATES))
        self._set_state(self._pod_key(pod), POD_STATES[state])

    def happen(self, event: Event) -> None:
        """Let an event happen now, whenever it was planned. Raises as the three methods above do."""
        match event.happening:
            case "refuses" | "unreachable" as death:
                self.kill(event.pod, death)
            case "revived":
                self.revive(event.pod)
            case state:
                self.set_endpoint(event.pod, state)

    @contextlib.contextmanager
    def happening(self, *events: Event) -> Iterator[None]:
        """Let events happen at their times while the `with` block runs; those left at its end do not.

        Those of time 0 have happened when it begins.
        Raises RequestError at once for a pod or happening that there is not, and at the end what went wrong.
        """
        for event in events:
            self._known_pod(event.pod)
            if event.happening not in get_args(Happening):
                raise _unknown("happening", event.happening, get_args(Happening))
        for event in events:
            if event.at_s <= 0:
                self.happen(event)
        later = sorted((event for event in events if event.at_s > 0), key=lambda event: event.at_s)
        ended, errors = threading.Event(), []
        begun_s = time.monotonic()

        def live() -> None:
            for event in later:
                if ended.wait(max(0.0, begun_s + event.at_s - time.monotonic())):
                    return
                try:
                    self.happen(event)
                except LabError as error:
                    errors.append(error)
                    return

        thread = threading.Thread(target=live, name="events", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        if errors:
            raise errors[0]

    def _build(self, on_progress: Progress | None) -> None:
        self._deaths = {}
        super()._build(on_progress)

    def _known_pod(self, name: str) -> NamespacePlan:
        self.network  # noqa: B018  a closed lab says so
        return self._plan.pod(self._pod_key(name))


def _unknown(what: str, given: str, known: Sequence[str]) -> RequestError:
    return RequestError(f"there is no {what} {given!r}", todo=f"use one of: {', '.join(known)}")
