"""Experiments that a notebook asks for: its own Python is in a guest, theirs are started beside it."""

import json
import os
import signal
from pathlib import Path

import pytest
from guest.launches import poll
from processes import PATIENCE_S, descendants, wait_for_end

from labkit.errors import CapabilityError
from labkit.experiment import Experiment, run
from labkit.guest.capabilities import choose_linux
from labkit.traffic.workload import Workload

SHORT = Workload(connections=60, arrivals="poisson", rate_per_s=60.0, clients=64)
CELL = """
from labkit.experiment import Experiment, run, run_all
from labkit.traffic.workload import Workload
def experiment(scheduler, connections):
    workload = Workload(connections=connections, arrivals="poisson", rate_per_s=60.0, clients=64)
    return Experiment.of("unequal", scheduler=scheduler, workload=workload)
"""
LONG_RUN = CELL + "run_all([experiment(one, 500_000) for one in ('rr', 'lc', 'sed')])"


@pytest.fixture(scope="module", autouse=True)
def _a_guest_with_virtual_time():
    try:
        choose_linux(clock="virtual")
    except CapabilityError as error:
        pytest.skip(str(error))


@pytest.fixture
def sibling(kernel):
    """Start runs that would take minutes; return the cell's message and the first new guest. None stays."""
    before = set(descendants(kernel.launcher))

    def start(cell=LONG_RUN):
        message = kernel.client.execute(cell, stop_on_error=False)  # else the next cell may be aborted
        return message, poll(lambda: _new_guest(kernel.launcher, before), "a guest beside the notebook's")

    yield start
    wait_for_end(set(descendants(kernel.launcher)) - before)


def _new_guest(launcher, before):
    for pid in sorted(set(descendants(launcher)) - before):
        try:
            if b"rootfstype=hostfs" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        except OSError:
            continue
    return None


def reply_to(kernel, message):
    while True:
        reply = kernel.client.get_shell_msg(timeout=PATIENCE_S)
        if reply["parent_header"]["msg_id"] == message:
            return reply["content"]


def test_a_notebook_gets_the_very_result_that_a_shell_gets_and_sees_how_far_it_is(kernel):
    written = kernel.run(CELL + """
import json
(result,) = run_all([experiment("rr", 60)], lambda *step: print(*step))
print(result.run.clock)
print(json.dumps([[flow.pod, flow.response_us] for flow in result.run.flows]))
""")  # fmt: skip
    progress, clock, flows = written.splitlines()
    assert (progress, clock) == ("1 1 ipvs rr", "virtual")
    here = run(Experiment.of("unequal", workload=SHORT)).flows
    for (pod, response_us), flow in zip(json.loads(flows), here, strict=True):
        assert pod == flow.pod
        assert abs(response_us - flow.response_us) <= 5


def test_an_interrupt_ends_the_experiments_and_not_the_notebook(kernel, sibling):
    message, _ = sibling()
    kernel.manager.interrupt_kernel()
    assert reply_to(kernel, message)["ename"] == "KeyboardInterrupt"
    assert kernel.run("print(6 * 7)") == "42\n"


def test_an_experiment_whose_guest_dies_is_an_error_with_its_name(kernel, sibling):
    message, guest = sibling(f"{CELL}run(experiment('rr', 500_000))")
    os.kill(guest, signal.SIGKILL)
    reply = reply_to(kernel, message)
    assert reply["ename"] == "GuestError"
    assert reply["evalue"].startswith("ipvs rr: the guest ")
    assert "was killed by SIGKILL" in reply["evalue"]


def test_the_experiments_end_with_their_notebook(new_kernel):
    kernel = new_kernel()
    before = set(descendants(kernel.launcher))
    kernel.client.execute(LONG_RUN)
    poll(lambda: _new_guest(kernel.launcher, before), "a guest beside the notebook's")
    everything = descendants(kernel.launcher)
    os.kill(kernel.launcher, signal.SIGKILL)
    wait_for_end(everything)
