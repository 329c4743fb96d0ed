"""`labkit clab`, and the topologies in containerlab/: they are what it writes."""

from __future__ import annotations

import re
import sys

import pytest
from write_containerlab import FOLDER, SHIPPED, shipped_files

from labkit.cli.main import main
from labkit.spec.clab import read_clab
from labkit.spec.manifest import shipped_labs


def run(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["labkit", "clab", *map(str, words)])
    with pytest.raises(SystemExit) as done:
        main()
    written = capsys.readouterr()
    return done.value.code, written.out, written.err


def test_the_shipped_topologies_are_those_that_their_manifests_give():
    held = {str(path.relative_to(FOLDER)): path.read_text() for path in FOLDER.rglob("*") if path.is_file()}
    del held["README.md"]
    assert held == shipped_files(), "python tests/write_containerlab.py writes them anew"


def test_every_shipped_lab_has_a_topology_and_the_readme_names_them_all():
    assert {lab for _, lab, _, _ in SHIPPED} == set(shipped_labs())
    readme = (FOLDER / "README.md").read_text()
    assert [name for name, *_ in SHIPPED if f"`{name}`" not in readme] == []


COMMANDS = {
    "sysctl": "procps",
    "ip": "iproute2",
    "bridge": "iproute2",
    "iptables": "iptables",
    "iptables-restore": "iptables",
    "ipset": "ipset",
    "ipvsadm": "ipvsadm",
    "nft": "nftables",
    "set": "",  # bash's own
}


def test_the_scripts_run_no_command_that_the_recipes_image_lacks():
    recipe = (FOLDER.parent / "apt.txt").read_text().split()
    for path, text in shipped_files().items():
        if path.endswith(".sh"):
            outside = re.sub(r"<<'END'\n.*?^END$", "", text, flags=re.MULTILINE | re.DOTALL)
            commands = {line.split()[0] for line in outside.splitlines() if line and not line.startswith("#")}
            assert {COMMANDS[command] for command in commands} <= {*recipe, ""}, path


def test_a_written_topology_is_read_again(tmp_path, monkeypatch, capsys):
    status, out, err = run(
        monkeypatch,
        capsys,
        *(
            "web",
            "--mode",
            "ipvs",
            "--scheduler",
            "sh",
            "--name",
            "mine",
            "--image",
            "me/node:1",
            "--output",
            tmp_path,
        ),
    )
    assert (status, out, err) == (0, f"{tmp_path}/mine.clab.yml\n", "")
    topology = read_clab(tmp_path / "mine.clab.yml", {})
    assert {node.image for node in topology.nodes} == {"me/node:1"}
    assert {node.name for node in topology.nodes} == {
        *("lan", "node-1", "node-2", "web-1", "web-2", "web-3", "web-4", "client", "outside")
    }
    assert " -s sh" in (tmp_path / "mine" / "node-1.sh").read_text()


def test_a_manifest_file_gives_the_topology_its_name(tmp_path, monkeypatch, capsys):
    (tmp_path / "small.v1.yaml").write_text("apiVersion: v1\nkind: Node\nmetadata: {name: only}\n")
    status, out, _ = run(monkeypatch, capsys, tmp_path / "small.v1.yaml", "--output", tmp_path)
    assert (status, out) == (0, f"{tmp_path}/small.clab.yml\n")


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("web", "--mode", "userspace"), 2, "kube-proxy has no mode 'userspace'"),
        (("no-such-lab",), 2, "no lab 'no-such-lab' comes with labkit"),
        (("web", "--name", "../web"), 2, "no topology can be called '../web'"),
        (("web", "--output", "/dev/null"), 2, "cannot be written: File exists"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_error(words, status, says, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["labkit", "clab", *words])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == status
    assert says in capsys.readouterr().err
