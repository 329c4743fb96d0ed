"""A shipped topology deployed by containerlab, and the same file built here: the same network and rules.

It needs containerlab, root, a Docker daemon and the nodes' image; where one is missing it is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from network_state import network_of, rules_of

from labkit.spec.clab import read_clab
from labkit.spec.clabscripts import IMAGE

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 300
pytestmark = pytest.mark.timeout(2 * DEADLINE_S)


def output_of(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE_S, check=True).stdout


def why_not() -> str:
    for program in ("containerlab", "docker"):
        if shutil.which(program) is None:
            return f"there is no {program} here"
    if os.geteuid():
        return "containerlab needs root"
    for words in (["docker", "info"], ["docker", "image", "inspect", IMAGE]):
        done = subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        if done.returncode:
            return f"{' '.join(words)}: {done.stderr.strip()}"
    return ""


@pytest.fixture(params=["web", "web-ipvs", "web-nftables"])
def deployed(request):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    file = REPOSITORY / "containerlab" / f"{request.param}.clab.yml"
    output_of("containerlab", "deploy", "--topo", str(file))
    yield file
    output_of("containerlab", "destroy", "--cleanup", "--topo", str(file))


def test_both_worlds_are_the_same(deployed):
    state = ("-m", "labkit", "exec", "--", sys.executable, str(REPOSITORY / "tests/network_state.py"))
    here = json.loads(output_of(sys.executable, *state, str(deployed)))
    for node in read_clab(deployed, {}).nodes:

        def run(command: str, name: str = node.name) -> str:
            return output_of("docker", "exec", name, *command.split())

        assert {**network_of(run), "rules": rules_of(run)} == here[node.name], node.name
