"""The lab's own annotations of a pod: what Kubernetes has no word for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.spec.documents import Findings
    from labkit.spec.manifest import Item
    from labkit.spec.objects import Object

WEIGHT = "labkit.dev/weight"
SERVICE_MS = "labkit.dev/service-ms"
HEAVIEST = 65_535
SLOWEST_MS = 60_000.0


@dataclass(frozen=True, slots=True)
class LabAnnotations:
    """`weight` is that of the pod's IPVS real servers, `service_ms` how long it works on one request."""

    weight: int = 1
    service_ms: float = 0.0


def read_annotations(
    item: Item[Object], path: tuple[str, ...], annotations: Mapping[str, str], findings: Findings
) -> LabAnnotations:
    """Return the lab's annotations of the pod (template) at `path`; mistakes go to `findings`."""

    def mistake(name: str, message: str, todo: str) -> None:
        findings.mistake(item.place(*path, "metadata", "annotations", name), message, todo)

    weight, service_ms = annotations.get(WEIGHT, "1"), annotations.get(SERVICE_MS, "0")
    if not (_is_plain(weight) and weight.isdecimal() and int(weight) <= HEAVIEST):
        mistake(WEIGHT, f"{weight!r} is not a weight", f"write a whole number of 0-{HEAVIEST} in quotes")
        weight = "1"
    if not (
        _is_plain(service_ms)
        and service_ms.replace(".", "", 1).isdecimal()
        and float(service_ms) <= SLOWEST_MS
    ):
        mistake(
            SERVICE_MS,
            f"{service_ms!r} is not a service time",
            f"write milliseconds, 0 to {SLOWEST_MS:.0f}, in quotes",
        )
        service_ms = "0"
    return LabAnnotations(int(weight), float(service_ms))


def _is_plain(text: str) -> bool:
    return text.isascii() and len(text) < 10
