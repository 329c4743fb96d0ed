"""Which User-Mode Linux is chosen, and that a damaged one never is."""

from __future__ import annotations

import hashlib
import json

import pytest

from labkit.errors import CapabilityError, RequestError
from labkit.guest import candidates
from labkit.guest.candidates import (
    PACKAGED,
    SHIPPED,
    Candidate,
    builds_folder,
    choose_candidate,
    find_candidate,
    list_candidates,
    read_selected,
    write_selected,
)

MANIFEST = {
    "release": "6.12.1-labkit",
    "size": 5,
    "least_glibc": "2.34",
    "source": {"package": "", "version": "6.12.1", "sha256": ""},
    "toolchain": {"compiler": "gcc", "linker": "ld", "libc": "ldd"},
    "config_sha256": "",
    "patch_sha256": "",
}


@pytest.fixture
def environ(tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "_shipped", lambda environ: (Candidate(SHIPPED, "/shipped"),))
    monkeypatch.setattr(candidates, "_packaged", lambda: (Candidate(PACKAGED, "/packaged"),))
    return {"XDG_DATA_HOME": str(tmp_path)}


def make_build(environ, name, content=b"linux"):
    folder = builds_folder(environ) / name
    folder.mkdir(parents=True)
    binary = folder / "linux"
    binary.write_bytes(content)
    binary.chmod(0o755)
    digest = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({**MANIFEST, "sha256": digest}))
    return binary


def names(environ):
    return [candidate.name for candidate in list_candidates(environ)]


def test_own_builds_come_before_the_shipped_and_that_before_the_packaged_one(environ):
    assert names(environ) == [SHIPPED, PACKAGED]
    make_build(environ, "mine")
    assert names(environ) == ["mine", SHIPPED, PACKAGED]
    assert choose_candidate(environ).release == "6.12.1-labkit"


@pytest.mark.parametrize("name", ["older", SHIPPED, PACKAGED])
def test_what_was_chosen_comes_first_until_that_is_taken_back(environ, name):
    make_build(environ, "older")
    make_build(environ, "newer")
    write_selected(name, environ)
    assert read_selected(environ) == name
    assert choose_candidate(environ).name == name
    write_selected("", environ)
    assert choose_candidate(environ).name in {"older", "newer"}


def test_a_choice_that_is_gone_does_not_stand_in_the_way(environ):
    write_selected("gone", environ)
    assert choose_candidate(environ).name == SHIPPED


@pytest.mark.parametrize("harm", ["changed", "cut off", "no manifest", "half a manifest", "not executable"])
def test_a_damaged_build_is_listed_with_its_reason_and_never_chosen(environ, harm):
    binary = make_build(environ, "mine")
    assert choose_candidate(environ).name == "mine"
    manifest = binary.with_name("manifest.json")
    {
        "changed": lambda: binary.write_bytes(b"xinul"),
        "cut off": lambda: binary.write_bytes(b"lin"),
        "no manifest": manifest.unlink,
        "half a manifest": lambda: manifest.write_text(manifest.read_text()[:40]),
        "not executable": lambda: binary.chmod(0o644),
    }[harm]()
    write_selected("mine", environ)
    assert choose_candidate(environ).name == SHIPPED
    assert "damaged" in list_candidates(environ)[0].problem
    with pytest.raises(CapabilityError, match="mine cannot be used"):
        find_candidate("mine", environ)


def test_a_build_that_is_not_in_place_yet_is_not_there(environ):
    make_build(environ, ".mine.123")
    assert names(environ) == [SHIPPED, PACKAGED]


def test_an_unknown_name_is_answered_with_the_known_ones(environ):
    with pytest.raises(RequestError, match="no guest named theirs") as error:
        find_candidate("theirs", environ)
    assert error.value.where == "known: shipped, packaged"
