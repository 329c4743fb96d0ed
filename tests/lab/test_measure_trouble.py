"""A run whose backends die under it."""

from __future__ import annotations

import os
import signal

import pytest
from traffic_lab import traffic_lab

from labkit.errors import TrafficError
from labkit.measure.experiment import Programmed, measure_service, plan_service_targets
from labkit.traffic.workload import Workload


@pytest.mark.usefixtures("nothing_left")
def test_backends_that_die_during_a_run_end_it_with_an_error():
    with traffic_lab() as lab:
        lab.program("iptables")

        def kill(_done, _total):
            os.kill(lab.backends.pid, signal.SIGKILL)

        with pytest.raises(TrafficError, match="died"):
            measure_service(
                lab.network,
                lab.backends,
                plan_service_targets(lab.cluster)[0],
                Workload(connections=100),
                seed=1,
                programmed=Programmed("iptables", "random"),
                progress=kill,
            )
