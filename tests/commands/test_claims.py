"""`labkit course claims` from the host, in real guests: a sentence, a check, an interrupt, a mistake."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import descendants, wait_for_end

DEADLINE_S = 200
ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs/claims.jsonl"

pytestmark = pytest.mark.timeout(DEADLINE_S + 20)


def command(page, *words):
    return [sys.executable, "-m", "labkit", "course", "claims", *words, "--output", str(page)]


def claims(page, *words):
    return subprocess.run(
        command(page, *words), capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


@pytest.fixture
def page(tmp_path):
    return tmp_path / "claims.md"


def test_one_sentence_is_measured_and_shown_and_nothing_is_written(page):
    done = claims(page, "5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(" 5  holds within limits: In iptables mode NAT and load balancing happen")
    assert "calls of the node that met KUBE-SERVICES at OUTPUT: 40" in done.stdout
    assert list(page.parent.iterdir()) == []


def test_a_check_agrees_with_the_page_or_says_what_does_not(page):
    figures = page.with_suffix(".jsonl")
    figures.write_text(FIGURES.read_text(encoding="utf-8"), encoding="utf-8")
    agreed = claims(page, "5", "--check")
    assert (agreed.returncode, agreed.stderr.count("labkit:")) == (0, 0), agreed.stderr
    assert "Every verdict agrees with the page's." in agreed.stdout
    name = '"calls of the node that met KUBE-SERVICES at PREROUTING", "value": '
    text = FIGURES.read_text(encoding="utf-8")
    assert text.count(f"{name}0") == 1
    figures.write_text(text.replace(f"{name}0", f"{name}40"), encoding="utf-8")
    differs = claims(page, "5", "--check")
    assert differs.returncode == 1
    assert (
        "labkit: sentence 5, NAT and balancing at PREROUTING: confirmed before, holds within limits now"
        in (differs.stderr)
    )


def test_interrupted_it_ends_its_guests_and_writes_nothing(page):
    with subprocess.Popen(
        command(page), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        for line in running.stderr:
            if line.startswith("[2/"):
                break
        below = descendants(running.pid)
        os.kill(running.pid, signal.SIGINT)
        rest = running.stderr.read()
    assert running.returncode == 130
    assert "Traceback" not in rest
    wait_for_end(below)
    assert list(page.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("12",), "labkit: there is no sentence 12\n  where: the claim ledger\n  to do: 1 to 11\n"),
        (("--check",), "holds no result of claims"),
    ],
)
def test_a_mistake_is_one_block(page, words, says):
    done = claims(page, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
