"""`labkit demo`, as a newcomer runs it: from the host, in a real guest."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from processes import descendants, wait_for_end

import labkit.measure
from labkit.errors import CapabilityError

SCHEMAS = Path(labkit.measure.__file__).parent
PACKAGED_SCHEDULERS = ["rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq"]
DEADLINE_S = 500  # of a machine that is busy: here the whole demo takes half a minute
TWO_SERVICES = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: names, namespace: kube-system}
spec:
  replicas: 3
  selector: {matchLabels: {app: names}}
  template:
    metadata: {labels: {app: names}}
    spec: {containers: [{name: dns, ports: [{containerPort: 5353, protocol: UDP}, {containerPort: 8080}]}]}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: names, namespace: kube-system}
  spec:
    selector: {app: names}
    ports:
    - {name: dns, port: 53, targetPort: 5353, protocol: UDP}
    - {name: metrics, port: 9153, targetPort: 8080}
- apiVersion: v1
  kind: Service
  metadata: {name: nobody}
  spec: {selector: {app: nobody}, ports: [{port: 80}]}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: ignored}
"""

pytestmark = [pytest.mark.usefixtures("some_linux"), pytest.mark.timeout(DEADLINE_S + 20)]


def demo(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "labkit", "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def results(folder):
    """What was written, held to the published schemas."""
    report = json.loads((folder / "results.json").read_text())
    flows = [json.loads(line) for line in (folder / "flows.jsonl").read_text().splitlines()]
    jsonschema.validate(report, json.loads((SCHEMAS / "results.schema.json").read_text()))
    schema = jsonschema.Draft202012Validator(json.loads((SCHEMAS / "flows.schema.json").read_text()))
    for flow in flows:
        schema.validate(flow)
    return report, flows


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The demo without a manifest: every mode of the guest, and every scheduler."""
    folder = tmp_path_factory.mktemp("demo")
    done = demo("--output", str(folder))
    assert done.returncode == 0, done.stderr
    return done, *results(folder), (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def has_nftables():
    """Whether the guest has nf_tables, as doctor says."""
    asked = subprocess.run(
        [sys.executable, "-m", "labkit", "doctor", "--json"],
        capture_output=True,
        timeout=DEADLINE_S,
        check=True,
    )
    return json.loads(asked.stdout)["capabilities"]["nf_tables"]


def test_all_modes_of_the_guest_and_every_scheduler_answer_every_connection(everything, has_nftables):
    _, report, flows, _ = everything
    runs = report["runs"]
    algorithms = [(run["mode"], run["algorithm"]) for run in runs]
    assert algorithms[0] == ("iptables", "random")
    assert (("nftables", "random") in algorithms) == has_nftables
    assert set(algorithms) >= {("ipvs", scheduler) for scheduler in PACKAGED_SCHEDULERS}
    assert all(run["answered"] == run["connections"] == 300 for run in runs)
    assert all(set(run["latency_us"]) == {"connect", "response", "forward"} for run in runs)
    assert len(flows) == 300 * len(runs)


def test_what_an_algorithm_promises_is_what_it_does(everything):
    _, report, _, _ = everything
    by_chance = [run for run in report["runs"] if run["algorithm"] == "random"]
    runs = {run["algorithm"]: run for run in report["runs"]}
    weights = report["workload"]["weights"]
    assert max(runs["rr"]["answers"].values()) - min(runs["rr"]["answers"].values()) <= 1
    per_weight = 300 / sum(weights.values())
    for pod, weight in weights.items():
        assert abs(runs["wrr"]["answers"][pod] - weight * per_weight) <= weight
    assert all(run["p_value"] > 1e-6 for run in by_chance)


def test_the_terminal_shows_the_comparison_the_rewriting_and_the_crafted_packets(everything):
    done, report, _, page = everything
    for run in report["runs"]:
        assert f"{run['mode']} {run['algorithm']}" in done.stdout
    assert "SYN" in done.stdout
    assert "was answered SA from 10.96.0.10:80" in done.stdout
    assert "Traceback" not in done.stderr
    assert page.lower().startswith("<!doctype html>")


def test_a_manifest_of_one_s_own_is_measured_in_every_mode(tmp_path, has_nftables):
    (tmp_path / "two.yaml").write_text(TWO_SERVICES)
    done = demo(str(tmp_path / "two.yaml"), "--connections", "30", "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    report, _ = results(tmp_path / "out")
    seen = {(run["service"], run["protocol"], run["mode"]): run for run in report["runs"]}
    for mode in ("iptables", "ipvs", *(["nftables"] if has_nftables else [])):
        assert seen["kube-system/names:53", "UDP", mode]["answered"] == 30
        assert seen["kube-system/names:9153", "TCP", mode]["answered"] == 30
        assert seen["default/nobody:80", "TCP", mode]["errors"]["refused"] == 30
    assert "1 ConfigMap" in done.stderr
    assert "40 of 40 datagrams answered" in done.stdout


def test_the_same_seed_sends_from_the_same_addresses(tmp_path):
    clients = []
    for number in (1, 2):
        done = demo(
            "web",
            "--algorithms",
            "sh",
            "--connections",
            "40",
            "--seed",
            "7",
            "--output",
            f"{tmp_path}/{number}",
        )
        assert done.returncode == 0, done.stderr
        _, flows = results(tmp_path / str(number))
        clients.append([flow["client"].partition(":")[0] for flow in flows])
    assert clients[0] == clients[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no-such-lab"], "no-such-lab"),
        (["missing.yaml"], "missing.yaml"),
        (["--algorithms", "iptables,fastest"], "'fastest'"),
        (["--connections", "0"], "--connections"),
        (["--memory", "lots"], "--memory"),
        (["--guest", "/no/such/linux"], "/no/such/linux"),
        (["--output", "/proc/nowhere"], "/proc/nowhere"),
    ],
)
def test_a_wrong_request_is_one_clear_error(tmp_path, arguments, told):
    output = [] if "--output" in arguments else ["--output", str(tmp_path / "out")]
    done = demo(*arguments, *output)
    assert done.returncode in {2, 3}
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out/*"))


def test_a_mode_that_the_guest_lacks_is_refused_before_anything_is_measured(tmp_path, has_nftables):
    if has_nftables:
        pytest.skip("this guest has nf_tables")
    done = demo("--algorithms", "iptables,nftables", "--output", str(tmp_path / "out"))
    assert done.returncode == CapabilityError.exit_status
    assert "nftables mode cannot run here" in done.stderr
    assert "to do: use iptables or ipvs" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out/*"))


def test_all_mistakes_of_a_manifest_are_told_before_anything_starts(tmp_path):
    (tmp_path / "broken.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 0}]}\n---\n"
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: b}\nspec: {replicas: many}\n"
    )
    done = demo(str(tmp_path / "broken.yaml"), "--output", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "broken.yaml:4:" in done.stderr
    assert "broken.yaml:9:" in done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_interrupted_demo_leaves_no_half_result_and_no_process(tmp_path, number, status):
    with subprocess.Popen(
        [sys.executable, "-m", "labkit", "demo", "--output", str(tmp_path / "out")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        for line in running.stderr:
            if "default/web" in line:  # traffic flows
                break
        below = descendants(running.pid)
        os.kill(running.pid, number)
        running.stderr.read()
    wait_for_end(below)
    assert running.returncode == status
    assert not list(tmp_path.glob("out/*"))


def test_a_guest_that_dies_in_the_middle_is_reported(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "labkit", "demo", "--output", str(tmp_path / "out")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        for line in running.stderr:
            if "default/web" in line:
                break
        below = descendants(running.pid)
        guest = min(pid for pid in below if "mem=" in Path(f"/proc/{pid}/cmdline").read_text())
        os.kill(guest, signal.SIGKILL)
        said = running.stderr.read()
    wait_for_end(below)
    assert running.returncode == 1
    assert "the guest" in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("out/*"))
