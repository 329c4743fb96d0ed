"""The images' recipe, read from the files that repo2docker reads, and carried out in another Debian.

The steps and their order are repo2docker's for a repository with `environment.yml`
(repo2docker/buildpacks/conda/__init__.py, base.py): the packages of `apt.txt` by root, the environment by the
user, `postBuild` by the user in the repository's folder, and `start` with each container's command. Only
conda is missing: its channels cannot be reached everywhere, so the environment is one of Debian's own Python,
and what `environment.yml` has of pip stands for the whole.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from elsewhere.root import PATH, pip_environment, run_in

USER, UID = "jovyan", 1000
HOME = f"/home/{USER}"
PREFIX = "/srv/conda/envs/notebook"  # repo2docker's NB_PYTHON_PREFIX
USER_PATH = f"{PREFIX}/bin:{PATH}"


@dataclass(frozen=True)
class Recipe:
    """What `apt.txt` and `environment.yml` ask for: Debian packages, a Python, and pip's requirements."""

    debian: tuple[str, ...]
    python: str
    pip: tuple[str, ...]


def read_recipe(tree: Path) -> Recipe:
    """Read both files as repo2docker does."""
    lines = (line.partition("#")[0].strip() for line in (tree / "apt.txt").read_text().splitlines())
    dependencies = yaml.safe_load((tree / "environment.yml").read_text())["dependencies"]
    (python,) = (one.partition("=")[2] for one in dependencies if str(one).startswith("python="))
    (pip,) = (one["pip"] for one in dependencies if isinstance(one, dict))
    return Recipe(tuple(line for line in lines if line), python, tuple(pip))


def as_user(root: Path, *command: str, environment: dict[str, str] | None = None) -> None:
    """Run a step of the build as the image's user, in the repository's folder."""
    own = {"HOME": HOME, "USER": USER, "PATH": USER_PATH, "NB_PYTHON_PREFIX": PREFIX, "REPO_DIR": HOME}
    enter = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "env", "-C", HOME)
    run_in(root, *enter, *command, environment=own | (environment or {}), check=True)


def install_debian_packages(recipe: Recipe, root: Path) -> None:
    """`apt.txt`: root installs it before the repository is there."""
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    log = root.parent / f"{root.name}.apt.log"
    with log.open("w") as out:
        for command in (
            ("update",),
            ("install", "--yes", "--no-install-recommends", *recipe.debian),
            ("clean",),
        ):
            run_in(root, "apt-get", *command, environment=quiet, stdout=out, stderr=out, check=True)
    shutil.rmtree(root / "var/lib/apt/lists")


def copy_repository(tree: Path, root: Path) -> None:
    """Copy what git knows of, or would add, into the user's home; all of it belongs to the user."""
    asked = ("git", "-C", str(tree), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, listed):
        if (tree / name).is_file():  # not what is deleted but not yet in a commit
            target = root / HOME.lstrip("/") / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / name, target)
    run_in(root, "chown", "-R", f"{UID}:{UID}", HOME, check=True)


def make_environment(recipe: Recipe, root: Path) -> None:
    """`environment.yml`: the requirements lie in a file beside it, as conda and micromamba write them."""
    requirements = root / HOME.lstrip("/") / "requirements.from-environment-yml"
    requirements.write_text("\n".join(recipe.pip) + "\n")
    run_in(root, "install", "-d", "-o", USER, "-g", USER, "/srv/conda", check=True)
    as_user(root, "python3", "-m", "venv", PREFIX)
    install = (f"{PREFIX}/bin/python", "-m", "pip", "install", "-r", requirements.name, "--no-input")
    as_user(root, *install, "--quiet", "--quiet", environment=pip_environment(root))
    requirements.unlink()


def run_post_build(root: Path) -> None:
    """`postBuild`: repo2docker makes it executable and runs it."""
    as_user(root, "chmod", "+x", "postBuild")
    as_user(root, "./postBuild")
