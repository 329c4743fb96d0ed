"""A captured node in a lab of its cluster: pods answer at the endpoints' addresses, its rules are its own.

The other nodes are programmed by labkit. Whatever makes labkit program the node anew (`lab.switch`,
`lab.set_endpoint`) ends the replay there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.capture.loading import load_dump
from labkit.capture.pods import plan_pods
from labkit.lab import Lab
from labkit.spec.clients import ClientPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labkit.capture.captured import Captured
    from labkit.spec.text import Text

    Progress = Callable[[int, int, str], None]

CLIENTS = ("client", "outside")


def replay(captured: Captured, manifests: Sequence[Text], *, on_progress: Progress | None = None) -> Lab:
    """Open the lab of the cluster that `manifests` describe, and give the captured node what it held.

    `client` stands on that node, as a pod. Raises what `Lab.open` raises, and ProgramError for what this
    Linux refuses of the dump; then nothing is left.
    """
    pods = plan_pods(captured.cluster)
    lab = Lab.open(
        *manifests,
        *([pods.manifest] if pods.count else []),
        mode=captured.mode,
        scheduler=captured.config.ipvs.scheduler or "rr",
        config=captured.config,
        clients=(ClientPlan(CLIENTS[0], captured.node.name), ClientPlan(CLIENTS[1])),
        on_progress=on_progress,
    )
    try:
        proxier = lab.proxy[captured.node.name]
        proxier.cleanup()
        load_dump(captured, proxier.namespace, proxier.backend)
    except BaseException:
        lab.close()
        raise
    return lab
