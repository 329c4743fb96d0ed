"""GRID.yaml: what it means, and each of its mistakes with its place."""

from pathlib import Path

import pytest

from labkit.errors import SpecError
from labkit.spec.grid import MOST_CELLS
from labkit.spec.text import Text
from labkit.sweeping.cells import load_grid, plan_sweep
from labkit.traffic.workload import Workload

WHOLE = """\
labs: [unequal, web]
algorithms: [iptables, rr, lc]
seeds: 3-5
workloads:
  short: {connections: 30}
  steady: {connections: 60, arrivals: poisson, rate_per_s: 60}
shapings:
  near: {}
  far: {client: {delay_ms: 20}}
"""


def grid(text):
    return load_grid(Text("grid.yaml", text))


def mistakes(text):
    with pytest.raises(SpecError) as caught:
        grid(text)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_a_grid_is_every_combination_with_the_algorithms_side_by_side():
    cells = plan_sweep(grid(WHOLE))
    assert len(cells) == 2 * 3 * 3 * 2 * 2
    assert len({cell.identity for cell in cells}) == len(cells)
    first = cells[:3]
    assert [(cell.experiment.mode, cell.experiment.scheduler) for cell in first] == [
        ("iptables", ""),
        ("ipvs", "rr"),
        ("ipvs", "lc"),
    ]
    assert {(cell.lab, cell.workload, cell.shaping, cell.experiment.seed) for cell in first} == {
        ("unequal", "short", "near", 3)
    }
    assert first[0].experiment.workload == Workload(connections=30)
    assert first[0].experiment.clock == "virtual"


def test_files_are_named_from_where_the_grid_stands(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {app: a}}\n"
        "spec: {containers: [{name: a, ports: [{containerPort: 80}]}]}\n---\n"
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
        "spec: {selector: {app: a}, ports: [{port: 80}]}\n"
    )
    path = tmp_path / "grid.yaml"
    path.write_text("labs: mine.yaml\nalgorithms: rr\nworkloads: {w: {}}\n")
    (cell,) = plan_sweep(load_grid(path))
    assert cell.experiment.manifests[0].text.startswith("apiVersion: v1\nkind: Pod")


def test_the_grid_in_the_docs_is_one():
    page = (Path(__file__).parents[2] / "docs/sweeps.md").read_text(encoding="utf-8")
    written = page.partition("```yaml\n")[2].partition("```")[0]
    assert len(plan_sweep(grid(written))) == 30


HEAD = "labs: unequal\nalgorithms: rr\n"
SHORT = f"{HEAD}workloads: {{w: {{}}}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n", "grid.yaml:1:1: a grid is a mapping, not a list"),
        ("labs: unequal\nworkloads: {w: {}}\n", "grid.yaml:1:1: algorithms is missing (write it)"),
        (f"{HEAD}workloads: {{}}\n", "grid.yaml:3:12: workloads is empty (it needs at least one entry)"),
        (f"{SHORT}colour: red\n", "grid.yaml:4:1: a grid has no field colour"),
        (f"{SHORT}sedes: [1]\n", "grid.yaml:4:1: a grid has no field sedes (did you mean seeds?)"),
        (f"{SHORT}seeds: 5-1\n", "grid.yaml:4:8: seeds: '5-1' is no range of seeds"),
        (f"{SHORT}seeds: [1, 2, 1]\n", "grid.yaml:4:15: seeds[2] is there already"),
        (f"{SHORT}seeds: [-1]\n", "grid.yaml:4:9: seeds[0] is -1 (it cannot be less than 0)"),
        (f"{SHORT}clock: fast\n", "grid.yaml:4:8: clock cannot be 'fast' (allowed: real or virtual)"),
        (f"{SHORT}service: shop\n", "grid.yaml:4:10: there is no Service 'shop' to call (in unequal)"),
        (
            "labs: unequal\nalgorithms: [rr, iptable]\nworkloads: {w: {}}\n",
            "grid.yaml:2:18: algorithms[1]: no algorithm is called 'iptable' (did you mean iptables?",
        ),
        (
            "labs: unequal\nalgorithms: [ipvs, rr]\nworkloads: {w: {}}\n",
            "grid.yaml:2:20: algorithms[1] is there already",
        ),
        ("labs: [none-such]\nalgorithms: rr\nworkloads: {w: {}}\n", "grid.yaml:1:8: no lab 'none-such'"),
        ("labs: [no.yaml]\nalgorithms: rr\nworkloads: {w: {}}\n", "grid.yaml:1:8: no.yaml: no such file"),
        (
            f"{HEAD}workloads:\n  w: {{arivals: closed}}\n",
            "grid.yaml:4:7: a grid has no field workloads.w.arivals (did you mean arrivals?)",
        ),
        (
            f"{HEAD}workloads:\n  w: {{connections: 0}}\n",
            "grid.yaml:4:20: workloads.w: connections=0 is not a whole number",
        ),
        (
            f"{HEAD}workloads:\n  w: {{connections: '9'}}\n",
            "grid.yaml:4:20: workloads.w.connections must be a whole number, not '9'",
        ),
        (
            f"{HEAD}workloads:\n  w: {{weights: {{default/x: 2}}}}\n",
            "grid.yaml:4:28: unequal has no pod 'default/x'",
        ),
        (
            f"{HEAD}workloads:\n  a: {{}}\n  b: {{connections: 300}}\n",
            "grid.yaml:5:6: workloads.b is the same",
        ),
        (f"{SHORT}shapings:\n  s: {{clint: {{}}}}\n", "grid.yaml:5:14: unequal has no pod, node or client"),
        (
            f"{SHORT}shapings:\n  s: {{client: {{loss_percent: 200}}}}\n",
            "grid.yaml:5:30: shapings.s.client: loss",
        ),
        (
            f"{SHORT}outages:\n  o: [{{at_s: 1, pod: x, happening: refuses}}]\n",
            "grid.yaml:5:22: unequal has no pod 'x'",
        ),
        (
            f"{SHORT}outages:\n  o: [{{at_s: 1, pod: fast-1, happening: explodes}}]\n",
            "grid.yaml:5:41: outages.o[0].happening cannot be 'explodes'",
        ),
        (f"{SHORT}---\n{SHORT}", "grid.yaml:5:1: a second document (a file holds one grid)"),
    ],
)
def test_a_mistake_has_its_place(text, expected):
    found = mistakes(text)
    assert any(one.startswith(expected) for one in found), found


def test_all_mistakes_are_told_at_once():
    assert len(mistakes("labs: []\nalgorithms: [x]\nseeds: no\nworkloads: {w: {connections: 1.5}}\n")) == 4


def test_too_many_experiments_are_refused():
    many = f"{HEAD}seeds: 1-10000\nworkloads:\n" + "".join(
        f"  w{number}: {{connections: {number}}}\n" for number in range(1, 12)
    )
    assert mistakes(many) == [
        f"grid.yaml:1:1: 110,000 experiments are too many ({MOST_CELLS:,} are the most)"
    ]
