"""Where guest memory and private files may live."""

from __future__ import annotations

import pytest

from labkit.cli.memory import parse_memory_mb
from labkit.errors import CapabilityError, RequestError
from labkit.guest.places import choose_memory_directory, memory_directories, name_private_directory


def test_memory_file_systems_come_before_disks():
    places = [
        str(place) for place in memory_directories({"XDG_RUNTIME_DIR": "/run/user/7", "TMPDIR": "/scratch"})
    ]
    assert places[:5] == ["/dev/shm", "/run/user/7", "/scratch", "/tmp", "/var/tmp"]


def test_memory_that_fits_nowhere_names_every_place_and_what_to_do(tmp_path):
    with pytest.raises(CapabilityError) as error:
        choose_memory_directory(10**9, {"TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "absent")})
    assert f"{tmp_path} has only " in error.value.where
    assert f"{tmp_path / 'absent'} cannot be used (No such file or directory)" in error.value.where
    assert "set TMPDIR" in error.value.todo


@pytest.mark.parametrize("name", ["with space", "quo'te", "x" * 80, "ümlaut"])
def test_private_files_keep_away_from_paths_that_a_command_line_cannot_hold(tmp_path, name):
    directory = tmp_path / name
    directory.mkdir()
    private = name_private_directory({"TMPDIR": str(directory)})
    assert private.parent != directory
    assert not private.exists()


@pytest.mark.parametrize(
    ("text", "memory_mb"), [("512M", 512), ("1G", 1024), ("700", 700), (" 2GiB ", 2048), ("1gb", 1024)]
)
def test_amounts_of_memory(text, memory_mb):
    assert parse_memory_mb(text) == memory_mb


@pytest.mark.parametrize("text", ["", "M", "-1M", "1.5G", "1T", "lots"])
def test_what_is_no_amount_of_memory(text):
    with pytest.raises(RequestError, match="no amount of memory"):
        parse_memory_mb(text)
