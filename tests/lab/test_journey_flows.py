"""Journeys beyond the shipped lab: of the flow table's rows, and of random clusters."""

from __future__ import annotations

import os

import pytest
from flows.journeys import JourneyScene
from flows.round import Patience
from flows.table import ROWS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from labkit import Lab
from labkit.guest.probe import takes_nftables
from labkit.lab import journeys
from labkit.proxy.plans import MODES
from labkit.spec.text import Text

pytestmark = pytest.mark.skipif(not takes_nftables(), reason="journeys are whole in the lab's own Linux only")
CLIENTS = ("client", "outside", "node-1")


def sample_rows(mode):
    """Return the first row of each source and of each outcome; of those that wait for silence only one."""
    met, found = set(), []
    for row in ROWS:
        is_usual = (row.mode, row.setup, row.weather) == (mode, "", "")
        if is_usual and not row.destination.endswith("six times") and {row.source, row.expected} - met:
            met |= {row.source, row.expected}
            found.append(row)
    silent = [row for row in found if row.may_be_silent]
    return [row for row in found if row not in silent[1:]]


@pytest.mark.parametrize("mode", MODES)
def test_journeys_of_the_flow_table_say_what_came(mode):
    with JourneyScene(mode, Patience(silence_s=0.5)) as scene:
        scene.program()
        told = list(scene.told(sample_rows(mode)))
    assert len(told) >= 10
    assert [str(one) for one in told if one.said != one.came] == []


@st.composite
def clusters(draw):
    nodes = draw(st.integers(1, 3))
    service = {
        "internalTrafficPolicy": draw(st.sampled_from(["Cluster", "Local"])),
        "sessionAffinity": draw(st.sampled_from(["None", "ClientIP"])),
    }
    protocol = draw(st.sampled_from(["TCP", "UDP"]))
    fields = "\n".join(f"  {name}: {value}" for name, value in service.items())
    names = "\n---\n".join(
        f"apiVersion: v1\nkind: Node\nmetadata:\n  name: node-{number}" for number in range(1, nodes + 1)
    )
    return f"""{names}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: it}}
spec:
  replicas: {draw(st.integers(0, 4))}
  selector: {{matchLabels: {{app: it}}}}
  template:
    metadata: {{labels: {{app: it}}}}
    spec:
      containers:
        - {{name: it, ports: [{{containerPort: 8080, protocol: {protocol}}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: it}}
spec:
{fields}
  type: NodePort
  selector: {{app: it}}
  ports: [{{port: 80, targetPort: 8080, protocol: {protocol}, nodePort: 30080}}]
"""


@settings(
    max_examples=int(os.environ.get("JOURNEY_EXAMPLES", "3")),
    deadline=None,
    phases=[Phase.generate],  # each example builds a cluster: to find a smaller one would take minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(manifest=clusters(), mode=st.sampled_from(MODES), client=st.sampled_from(CLIENTS))
def test_of_any_cluster_a_journey_says_what_its_client_saw(monkeypatch, manifest, mode, client):
    seen = []

    def send_and_note(*arguments):
        flows = send_flows(*arguments)
        seen.extend(flows)
        return flows

    send_flows = journeys.send_flows
    with monkeypatch.context() as patch, Lab.open(Text("it.yaml", manifest), mode=mode) as lab:
        patch.setattr(journeys, "send_flows", send_and_note)
        protocol = lab.cluster.services[0].ports[0].protocol
        asked = f"node-1:30080/{protocol}" if client == "outside" else "it"
        with lab.journey(client, service=asked, packets="all") as journey:
            pass
    (flow,) = seen
    assert (journey.outcome.answered_by, journey.outcome.error) == (flow.pod, flow.error), journey.text(
        "rules"
    )
    if flow.pod:
        assert journey.outcome.seen_as == flow.peer
