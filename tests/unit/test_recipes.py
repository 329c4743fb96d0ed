"""The files that install labkit agree with each other."""

import re
import tomllib
from pathlib import Path

import yaml

from labkit.cli.doctor import PLATFORMS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def distribution(requirement: str) -> str:
    return re.split(r"[<>=!~;\[ ]", requirement)[0].lower().replace("_", "-").replace(".", "-")


def test_environment_yml_installs_this_package_on_the_python_that_pyproject_asks_for():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, from_pip = environment["dependencies"]
    assert environment["name"] == PROJECT["name"]
    assert from_pip == {"pip": ["."]}, "dependencies stand in pyproject.toml alone"
    minimum = PROJECT["requires-python"].removeprefix(">=")
    assert conda == [f"python={minimum}", "pip"]


def test_the_lock_holds_every_direct_dependency():
    locked = {distribution(line) for line in LOCK.splitlines() if "==" in line}
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    assert {distribution(requirement) for requirement in wanted} <= locked


def test_the_lock_names_hashes_and_no_addresses():
    pinned = re.findall(r"^[a-z0-9].*==", LOCK, re.MULTILINE)
    assert pinned
    assert len(
        re.findall(r"^[a-z0-9][^\n]*== *[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", LOCK, re.MULTILINE)
    ) == len(pinned)
    assert "://" not in LOCK
    assert not re.search(r"^--", LOCK, re.MULTILINE)


def test_the_readme_says_of_each_platform_what_doctor_says():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, table = readme.partition("| platform | the lab's Linux | tried |\n|---|---|---|\n")
    rows = [tuple(row.strip("| ").split(" | ")) for row in table.split("\n\n")[0].splitlines()]
    assert tuple(rows) == PLATFORMS
