"""The frames of a blast: patched as Scapy itself would have built them; flows in runs, each one distinct."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.traffic.blastframes import FIRST_PORT, PORTS, FrameBatch, LinkLayer, Run, craft_frame, plan_runs
from labkit.traffic.flow import Target

LINK = LinkLayer("eth0", "02:00:00:00:00:01", "02:00:00:00:00:02")
addresses = st.integers(1, 2**32 - 2).map(lambda n: ".".join(map(str, n.to_bytes(4))))
runs = st.builds(Run, addresses, st.integers(0, 65535 - 8), st.integers(1, 8))


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
@settings(max_examples=60, deadline=None)
@given(aims=st.lists(runs, min_size=1, max_size=3), mark=st.integers(1, 65535), to=addresses)
def test_a_patched_frame_is_the_one_scapy_builds(protocol, aims, mark, to):
    from scapy.layers.inet import IP
    from scapy.layers.l2 import Ether

    batch = FrameBatch(craft_frame(LINK, Target(to, 80, protocol), mark), 8)
    for run in aims:
        batch.aim(run)
    run = aims[-1]
    for number in range(run.count):
        start = number * batch.frame_bytes
        frame = bytes(batch.buffer[start : start + batch.frame_bytes])
        packet = Ether(frame)
        assert (packet[IP].src, packet[IP].payload.sport) == (run.source, run.first_port + number)
        written = packet[IP].chksum, packet[IP].payload.chksum
        del packet[IP].chksum, packet[IP].payload.chksum
        built = Ether(bytes(packet))
        # 0 and 0xFFFF are the same sum (RFC 1071)
        assert [one % 65535 for one in written] == [
            one % 65535 for one in (built[IP].chksum, built[IP].payload.chksum)
        ]


@given(first=st.integers(0, 3 * PORTS), flows=st.integers(1, 2 * PORTS), most=st.integers(100, 512))
@settings(max_examples=20, deadline=None)
def test_runs_hold_every_flow_once(first, flows, most):
    planned = list(plan_runs(["10.0.0.1", "10.0.0.2"], first, flows, most))
    seen = {(r.source, r.first_port + n) for r in planned for n in range(r.count)}
    assert len(seen) == flows == sum(r.count for r in planned)
    assert all(r.count <= most and FIRST_PORT <= r.first_port < 65536 for r in planned)
