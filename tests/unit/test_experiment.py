"""Experiments, jobs and errors cross between processes as bytes and come back as they were."""

import json
import os
import pickle
import subprocess
import sys
import tempfile
from types import MappingProxyType

import pytest

from labkit.errors import (
    BuildError,
    CapabilityError,
    GuestError,
    LabError,
    Mistake,
    SpecError,
    decode_error,
    encode_error,
)
from labkit.experiment import Experiment, plan_job, run_all
from labkit.fabric.shaping import Shaping
from labkit.guest.clock import REAL_TIME, VIRTUAL_TIME, Timing, read_clock
from labkit.guest.jobs import Job
from labkit.measure.schema import decode, encode
from labkit.performing import Performance, read_reply
from labkit.spec.cluster import read_manifests
from labkit.spec.text import Text
from labkit.traffic.workload import Workload


def test_an_experiment_comes_back_from_json_as_it_was():
    experiment = Experiment.of(
        "unequal",
        mode="ipvs",
        scheduler="sed",
        workload=Workload(connections=9, arrivals="poisson", rate_per_s=60.0, service_ms={"*": 2.5}),
        shaping=MappingProxyType({"client": Shaping(delay_ms=10.0)}),
        seed=7,
    )
    again = decode(Experiment, json.loads(json.dumps(encode(experiment))), "experiment")
    assert again == experiment


def test_a_job_carries_the_experiment_and_the_cluster_that_its_manifests_describe():
    experiment = Experiment.of("unequal", shaping=MappingProxyType({"client": Shaping(delay_ms=10.0)}))
    asked = pickle.loads(plan_job(experiment).request)
    assert asked == Performance(experiment, read_manifests(["unequal"]))
    assert "pydantic" not in subprocess.check_output(
        (sys.executable, "-c", "import labkit.performing, labkit.lab, sys; print(*sys.modules)"), text=True
    )


def test_an_experiment_holds_its_manifests_whole(tmp_path):
    file = tmp_path / "one.yaml"
    text = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {a: b}, ports: [{port: 80}]}\n"
    )
    file.write_text(text)
    experiment = Experiment.of(file)
    file.unlink()
    assert [(one.name, one.text) for one in experiment.manifests] == [(str(file), text)]


def test_a_manifest_that_cannot_be_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(SpecError, match="no such file"):
        Experiment.of(tmp_path / "none.yaml")


def test_its_clock_decides_on_the_bounds_of_its_job():
    assert plan_job(Experiment.of("web", clock="real")).timing == REAL_TIME
    assert plan_job(Experiment.of("web")).timing == VIRTUAL_TIME


@pytest.mark.parametrize("request_", [b"", b"two\nlines\n", bytes(range(256)) * 400])
def test_a_job_is_read_to_its_last_byte_and_no_further(request_):
    job = Job("a b", ("sh", "-c", "exit 3"), request_, Timing("virtual", 5.0, 6.0), 300, "uml")
    with tempfile.TemporaryFile() as file:
        file.write(job.to_bytes() + b"rest")
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        assert Job.read(file.fileno()) == job
        assert os.read(file.fileno(), 100) == b"rest"


@pytest.mark.parametrize("kind", LabError.__subclasses__())
def test_an_error_comes_back_with_its_kind_and_all_it_says(kind):
    error = BuildError("what", where="here", todo="this") if kind is BuildError else kind("what", todo="this")
    again = decode_error(encode_error(error))
    assert (type(again), again.lines()) == (type(error), error.lines())


def test_mistakes_in_a_manifest_come_back_as_their_lines():
    error = SpecError([Mistake("a.yaml:3:1", "wrong", "right it")])
    again = decode_error(encode_error(error))
    assert str(again) == str(error)
    assert again.exit_status == error.exit_status


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"error": "OSError"}'])
def test_bytes_that_are_no_error_are_refused(data):
    with pytest.raises(ValueError, match=r".*"):
        decode_error(data)


@pytest.mark.parametrize("reply", [b"", b'{"measured": {"run'])
def test_a_reply_that_is_not_whole_is_an_error_with_the_experiment_s_name(reply):
    error = read_reply(reply, "ipvs rr")
    assert isinstance(error, GuestError)
    assert error.message == "ipvs rr: what it replied is not whole"


def test_an_error_in_a_reply_gets_the_experiment_s_name():
    error = read_reply(encode_error(CapabilityError("no such mode")), "nftables")
    assert isinstance(error, CapabilityError)
    assert error.message == "nftables: no such mode"


def test_this_machine_s_own_time_is_real():
    assert read_clock() == "real"


def test_capability_errors_keep_their_exit_status():
    assert decode_error(encode_error(CapabilityError("none"))).exit_status == 3


def test_an_experiment_whose_manifest_cannot_be_is_an_outcome_and_starts_no_guest():
    (outcome,) = run_all([Experiment((Text("bad.yaml", "kind: ["),))])
    assert isinstance(outcome, SpecError)
    assert "bad.yaml:2" in str(outcome)
