"""The shipped Linux: unpacked once, checked, and in no state but whole."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import labkit_guest
import pytest
from labkit_guest import Problem, kernel_path
from labkit_guest.build import CONFIG, config_sha256, work_folder
from labkit_guest.files import is_intact, replacing
from labkit_guest.manifest import Manifest, Source, Toolchain
from labkit_guest.needs import PACKAGES, check_needs
from labkit_guest.source import PATCH, PINNED, POOL_PATH, patch_sha256, unpack_source

CONTENT = b"#!/bin/sh\nexit 7\n" + bytes(range(256)) * 4000


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """A shipped file of a few kilobytes, and the environment of a user without a cache."""
    folder = tmp_path / "package"
    folder.mkdir()
    manifest = Manifest(
        "6.12.1-labkit", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "2.34",
        Source("p", "1", "ab"), Toolchain("gcc", "ld", "ldd"), "cd", "ef",
    )  # fmt: skip
    (folder / "linux-labkit.xz").write_bytes(lzma.compress(CONTENT))
    manifest.write(folder / "manifest.json")
    monkeypatch.setattr(labkit_guest, "PACKED", folder / "linux-labkit.xz")
    monkeypatch.setattr(labkit_guest, "MANIFEST", folder / "manifest.json")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return {"XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_it_is_unpacked_into_the_cache_and_can_be_run(packed, tmp_path):
    path = kernel_path(packed)
    assert path.is_relative_to(tmp_path / "cache/labkit/guest")
    assert path.read_bytes() == CONTENT
    assert subprocess.run([path], check=False).returncode == 7
    inode = path.stat().st_ino
    assert kernel_path(packed).stat().st_ino == inode


def test_a_damaged_copy_in_the_cache_is_replaced(packed):
    path = kernel_path(packed)
    for harm in (b"", CONTENT[:-1], CONTENT[:-1] + b"x"):
        path.write_bytes(harm)
        assert kernel_path(packed).read_bytes() == CONTENT


@pytest.mark.parametrize("harm", [b"", b"no xz", lzma.compress(CONTENT)[:-40], lzma.compress(CONTENT[1:])])
def test_a_damaged_package_is_refused_and_nothing_is_left(packed, harm, tmp_path):
    labkit_guest.PACKED.write_bytes(harm)
    with pytest.raises(Problem, match="damaged") as problem:
        kernel_path(packed)
    assert "--force-reinstall" in problem.value.todo
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_many_first_uses_at_once_all_get_the_whole_file(packed):
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: kernel_path(packed), range(32)))
    (path,) = paths
    assert path.read_bytes() == CONTENT
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["linux-labkit", "linux-labkit.checked"]


def test_where_no_cache_can_be_written_a_temporary_folder_takes_it(packed, tmp_path):
    (tmp_path / "cache").write_text("a file stands in the way")
    path = kernel_path(packed)
    assert path.is_relative_to(tmp_path / "tmp")
    assert path.read_bytes() == CONTENT


def test_where_no_folder_takes_it_each_is_named(packed, tmp_path):
    (tmp_path / "cache").write_text("")
    (tmp_path / "tmp").rmdir()
    (tmp_path / "tmp").write_text("")
    with pytest.raises(Problem, match="no folder can hold") as problem:
        kernel_path(packed)
    assert "cache" in problem.value.where
    assert "tmp" in problem.value.where


def test_a_stamp_never_outlives_the_bytes_it_was_made_for(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"right")
    digest = hashlib.sha256(b"right").hexdigest()
    assert is_intact(path, digest)
    before = path.stat()
    path.write_bytes(b"wrong")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not is_intact(path, digest)
    assert not is_intact(tmp_path / "none", digest)


def test_a_replacement_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail():
        with replacing(path) as new:
            new.write_text("half")
            raise Problem("cut off")

    with pytest.raises(Problem, match="cut off"):
        fail()
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("file", "old")]


def test_the_manifest_reads_what_it_wrote(tmp_path):
    manifest = Manifest("r", "s", 1, "2.34", Source("p", "v", "x"), Toolchain("c", "l", "g"), "d", "e")
    manifest.write(tmp_path / "manifest.json")
    assert Manifest.read(tmp_path / "manifest.json") == manifest
    assert json.loads((tmp_path / "manifest.json").read_text())["source"]["version"] == "v"


def test_the_shipped_linux_is_what_its_manifest_says():
    manifest = labkit_guest.shipped()
    packed = labkit_guest.PACKED.read_bytes()
    data = lzma.decompress(packed)
    assert (len(data), hashlib.sha256(data).hexdigest()) == (manifest.size, manifest.sha256)
    assert len(packed) < 4_000_000
    assert manifest.source == PINNED
    assert (manifest.config_sha256, manifest.patch_sha256) == (config_sha256(), patch_sha256())
    assert tuple(map(int, manifest.least_glibc.split("."))) <= (2, 34)


def test_the_configuration_says_nothing_twice_and_explains_each_group():
    lines = CONFIG.read_text().splitlines()
    options = [line.partition("=")[0] for line in lines if line.startswith("CONFIG_")]
    assert len(options) == len(set(options))
    assert all(line.startswith(("CONFIG_", "#")) for line in lines if line)
    for group in CONFIG.read_text().split("\n\n"):
        assert group.startswith("# ")


def test_what_a_build_lacks_is_said_at_once_with_one_command(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem, match="cannot be built here") as problem:
        check_needs(tmp_path, least_disk_mb=2**40)
    assert problem.value.missing
    assert all(tool in problem.value.where for tool in PACKAGES)
    assert f"a build takes {2**40}" in problem.value.where
    assert problem.value.todo == (
        "sudo apt-get install bc binutils bison flex gcc libc6-dev make patch perl tar xz-utils"
    )


CHANGE = """A change.

--- a/arch/um/Kconfig
+++ b/arch/um/Kconfig
@@ -1 +1 @@
-as published
+changed
"""


def make_tree(folder: Path, text: str = "as published\n") -> Path:
    (folder / "arch/um").mkdir(parents=True)
    (folder / "arch/um/Kconfig").write_text(text)
    (folder / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 13\nSUBLEVEL = 2\nEXTRAVERSION =\n")
    return folder


def pack(tree: Path) -> Path:
    archive = tree.with_suffix(".tar")
    subprocess.run(["tar", "-cf", archive, "-C", tree.parent, tree.name], check=True)
    return archive


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder to build in, and a change that fits `make_tree`'s source."""
    patch = tmp_path / "labkit.patch"
    patch.write_text(CHANGE)
    monkeypatch.setattr("labkit_guest.source.PATCH", patch)
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_a_tree_is_changed_in_a_copy_and_stays_as_it_is(work, tmp_path):
    given = make_tree(tmp_path / "linux")
    for _ in range(2):
        tree = unpack_source(given, work)
        assert tree.source == Source("", "6.13.2", "")
        assert (tree.folder / "arch/um/Kconfig").read_text() == "changed\n"
    assert (given / "arch/um/Kconfig").read_text() == "as published\n"


def test_an_archive_is_unpacked_and_changed_once(work, tmp_path):
    archive = pack(make_tree(tmp_path / "linux"))
    tree = unpack_source(archive, work)
    assert tree.source == Source("", "6.13.2", hashlib.sha256(archive.read_bytes()).hexdigest())
    assert tree.folder == work / "source/linux"
    inode = (tree.folder / "arch/um/Kconfig").stat().st_ino
    assert unpack_source(archive, work) == tree
    assert (tree.folder / "arch/um/Kconfig").stat().st_ino == inode


def test_another_change_is_made_to_the_source_as_published(work, tmp_path):
    archive = pack(make_tree(tmp_path / "linux"))
    unpack_source(archive, work)
    (tmp_path / "labkit.patch").write_text(CHANGE.replace("+changed", "+changed again"))
    assert (unpack_source(archive, work).folder / "arch/um/Kconfig").read_text() == "changed again\n"


@pytest.mark.parametrize("text", ["another version's\n", "changed\n"])
def test_a_source_that_the_changes_do_not_fit_is_refused_and_nothing_is_left(work, tmp_path, text):
    archive = pack(make_tree(tmp_path / "linux", text))
    with pytest.raises(Problem, match="changes do not fit") as problem:
        unpack_source(archive, work)
    assert str(archive) in problem.value.message
    assert not list(work.iterdir())


def test_the_changes_name_their_date_in_each_file_they_touch():
    for part in PATCH.read_text().split("\n--- a/")[1:]:
        assert "\n+" in part
        assert "Changed for labkit, 20" in part.partition("\n@@")[2]


@pytest.mark.parametrize("what", ["absent", "no archive", "another archive", "another folder", "built in"])
def test_a_source_that_will_not_do_is_named_and_leaves_nothing(tmp_path, what):
    work = tmp_path / "work"
    work.mkdir()
    given = tmp_path / "given"
    if what == "no archive":
        given.write_text("text")
    elif what == "another archive":
        (tmp_path / "other").mkdir()
        subprocess.run(["tar", "-cf", given, "-C", tmp_path, "other"], check=True)
    elif what == "another folder":
        given.mkdir()
    elif what == "built in":
        (make_tree(given) / ".config").write_text("")
    with pytest.raises(Problem) as problem:
        unpack_source(given, work)
    assert str(given) in problem.value.message
    assert not list(work.iterdir())


@pytest.mark.parametrize("here", ["nothing", "another version"])
def test_where_the_very_source_is_not_to_be_had_its_sum_is_named(tmp_path, monkeypatch, here):
    archive = tmp_path / "linux-source.tar.xz"
    if here == "another version":
        archive.write_text("another version")
    monkeypatch.setattr("labkit_guest.source.PINNED_ARCHIVE", archive)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem, match="not to be had here: linux-source-7") as problem:
        unpack_source(None, tmp_path)
    assert problem.value.missing
    assert PINNED.sha256 in problem.value.todo


def test_what_apt_does_not_have_comes_from_the_pool_of_a_mirror_that_it_knows(tmp_path, monkeypatch):
    package = tmp_path / "mirror" / POOL_PATH
    package.parent.mkdir(parents=True)
    package.write_text("a package")
    apt = tmp_path / "apt-get"  # it has no package, and names two mirrors
    apt.write_text(f"#!/bin/sh\necho {tmp_path.as_uri()}/elsewhere\necho {tmp_path.as_uri()}/mirror\n")
    apt.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr("labkit_guest.source.PINNED_ARCHIVE", tmp_path / "absent")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem, match="can only be opened with dpkg-deb"):
        unpack_source(None, work)
    assert (work / f"{PINNED.package}.deb").read_text() == "a package"


def test_another_source_is_built_in_another_folder(tmp_path):
    folders = {work_folder(tmp_path, source) for source in (None, tmp_path / "a", tmp_path / "b")}
    assert len(folders) == 3
    assert all(folder.parent == tmp_path for folder in folders)


def test_verify_refuses_to_compare_what_another_compiler_makes(tmp_path):
    program = (
        "import sys, labkit_guest, labkit_guest.__main__ as m;"
        "s = labkit_guest.shipped(); t = s.toolchain._replace(compiler='gcc 1.0');"
        "m.shipped = lambda: s._replace(toolchain=t);"
        f"sys.argv[1:] = ['verify', '--work', {str(tmp_path / 'work')!r}]; sys.exit(m.main())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "verify on a system with gcc 1.0" in done.stderr
    assert not (tmp_path / "work").exists()
