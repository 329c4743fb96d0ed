"""The files that install labkit agree with each other."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from labkit.cli.doctor import PLATFORMS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def distribution(requirement: str) -> str:
    return re.split(r"[<>=!~;\[ ]", requirement)[0].lower().replace("_", "-").replace(".", "-")


def test_environment_yml_installs_this_project_and_its_linux_on_the_python_that_pyproject_asks_for():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, from_pip = environment["dependencies"]
    assert environment["name"] == PROJECT["name"]
    assert from_pip == {"pip": ["-c constraints.txt", "./guest-kernel", "."]}
    minimum = PROJECT["requires-python"].removeprefix(">=")
    assert conda == [f"python={minimum}", "pip"]


def test_the_images_get_the_versions_that_are_tested():
    locked = re.findall(r"^[a-z0-9.-]+==\S+", LOCK, re.MULTILINE)
    assert (ROOT / "constraints.txt").read_text(encoding="utf-8").split() == locked, "run: make lock"


def test_apt_txt_is_a_list_of_packages_as_repo2docker_reads_it():
    lines = (ROOT / "apt.txt").read_text(encoding="ascii").splitlines()
    packages = [line.partition("#")[0].strip() for line in lines]
    assert {"iptables", "nftables", "ipset", "ipvsadm", "iproute2", "conntrack"} <= set(packages)
    assert all(re.fullmatch(r"[a-z0-9.+-]*", package) for package in packages)


def test_no_file_of_another_recipe_stands_in_repo2docker_s_way():
    """What it looks for before environment.yml at top level."""
    assert not [name for name in ("binder", ".binder", "Dockerfile") if (ROOT / name).exists()]


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_the_images_scripts_are_executable_posix_shell(name):
    script = ROOT / name
    assert script.stat().st_mode & 0o111
    assert script.read_text(encoding="ascii").startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", script], check=True)


def start(home, *command, **environment):
    """Run a command as a container's, with this HOME."""
    own = {"PATH": os.environ["PATH"], "HOME": str(home), **environment}
    return subprocess.run([ROOT / "start", *command], env=own, capture_output=True, text=True, check=False)


def test_start_becomes_the_command(tmp_path):
    (tmp_path / "notebooks").mkdir()
    done = start(tmp_path, "sh", "-c", 'printf "%s|" "$@"; exit 7', "sh", "a b", "")
    assert (done.returncode, done.stdout) == (7, "a b||")
    assert not list((tmp_path / "notebooks").iterdir())


def test_start_brings_the_course_to_an_empty_volume_and_changes_no_other(tmp_path):
    image, volume = tmp_path / "image", tmp_path / "volume"
    (image / "notebooks").mkdir(parents=True)
    (image / "notebooks/00.ipynb").write_text("lesson", encoding="ascii")
    volume.mkdir()
    assert start(volume, "true", REPO_DIR=str(image)).returncode == 0
    mine = volume / "notebooks/00.ipynb"
    assert mine.read_text(encoding="ascii") == "lesson"
    mine.write_text("my answers", encoding="ascii")
    assert start(volume, "true", REPO_DIR=str(image)).returncode == 0
    assert mine.read_text(encoding="ascii") == "my answers"


def test_start_keeps_a_place_for_temporary_files_that_can_be_written_and_replaces_another(tmp_path):
    tell = ("sh", "-c", 'echo "$TMPDIR"')
    assert start(tmp_path, *tell, TMPDIR=str(tmp_path)).stdout == f"{tmp_path}\n"
    absent = str(tmp_path / "absent")
    assert start(tmp_path, *tell, TMPDIR=absent).stdout == f"{tmp_path}/.cache/tmp\n"
    assert (tmp_path / ".cache/tmp").is_dir()


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
