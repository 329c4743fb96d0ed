"""Which Linux is chosen."""

from __future__ import annotations

import marshal

import pytest

from labkit.errors import CapabilityError
from labkit.guest.boot import plan_uml
from labkit.guest.capabilities import Linux, choose_linux, command_path
from labkit.guest.clock import VIRTUAL_TIME
from labkit.guest.info import GuestInfo, current
from labkit.guest.modules import load_modules, module_name, read_dependencies
from labkit.guest.run import describe_wait_status, last_words


def test_labkit_guest_says_the_same_as_the_option(tmp_path):
    binary = tmp_path / "linux"
    binary.write_text("")
    binary.chmod(0o755)
    by_option = choose_linux(str(binary), {})
    assert by_option == choose_linux(None, {"LABKIT_GUEST": str(binary)})
    assert (by_option.kind, by_option.binary) == ("uml", str(binary))


def test_modules_beside_a_build_are_its_own(tmp_path):
    (tmp_path / "modules").mkdir()
    binary = tmp_path / "linux"
    binary.write_text("")
    binary.chmod(0o755)
    assert choose_linux(str(binary), {}).modules == str(tmp_path / "modules")


@pytest.mark.parametrize(("mode", "says"), [(None, "there is no guest at"), (0o644, "cannot be executed")])
def test_a_guest_that_cannot_be_started_is_named(tmp_path, mode, says):
    binary = tmp_path / "linux"
    if mode is not None:
        binary.write_text("")
        binary.chmod(mode)
    with pytest.raises(CapabilityError, match=says) as error:
        choose_linux(str(binary), {})
    assert error.value.todo


def test_the_system_s_directories_are_added_to_the_path_once():
    assert command_path("/a:/usr/sbin") == "/a:/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/bin"


def test_the_marker_tells_inside_from_outside(tmp_path):
    marker = tmp_path / "guest"
    assert current(marker) is None
    marker.write_text("kind")
    assert current(marker) is None
    info = GuestInfo("uml", "ab12cd", "6.1.176", 1, 492)
    marker.write_bytes(info.to_bytes())
    assert current(marker) == info


def test_the_command_line_names_memory_line_and_private_directory(tmp_path):
    linux = Linux("uml", "", "/opt/linux", "/opt/modules")
    program = plan_uml(linux, "ab12cd", 300, tmp_path, {})
    assert program.argv[0] == "/opt/linux"
    assert {"mem=300M", "ssl0=fd:{line}", f"uml_dir={tmp_path}/", "umid=ab12cd"} <= set(program.argv)
    assert program.argv[program.argv.index("--") + 1 :][:2] == ("-I", "-S")
    settings = marshal.loads(program.files.contents["settings"])
    assert (settings["lab"], settings["modules"]) == ("ab12cd", "/opt/modules")
    assert not list(tmp_path.iterdir())


def test_modules_load_after_what_they_need(tmp_path):
    (tmp_path / "modules.dep").write_text(
        "a/x-y.ko: b/mid.ko.xz c/low.ko\nb/mid.ko.xz: c/low.ko\nc/low.ko:\n"
    )
    assert read_dependencies(tmp_path)["a/x-y.ko"] == ("c/low.ko", "b/mid.ko.xz")
    assert [module_name(path) for path in ("a/x-y.ko", "b/mid.ko.xz")] == ["x_y", "mid"]
    assert load_modules(tmp_path, ["no_such_module"]) == ()
    assert load_modules(tmp_path / "absent", ["x_y"]) == ()


def test_last_words_are_the_panic_or_the_last_lines():
    panic = "booting\nno room\nKernel panic - not syncing: x\nCPU: 0\nCall Trace:\n"
    assert last_words(panic) == "booting / no room / Kernel panic - not syncing: x"
    assert last_words("".join(f"{n}\n\n" for n in range(10))) == "4 / 5 / 6 / 7 / 8 / 9"
    assert last_words("") == ""


def test_a_wait_status_in_words():
    assert describe_wait_status(9) == "was killed by SIGKILL"
    assert describe_wait_status(3 << 8) == "exited with status 3"


def test_virtual_time_is_not_looked_for_in_the_host_s_own_kernel():
    with pytest.raises(CapabilityError, match="no virtual time"):
        choose_linux("host", {}, "virtual")


def test_virtual_time_is_an_argument_of_the_boot(tmp_path):
    linux = Linux("uml", "", "/linux", "")
    program = plan_uml(linux, "ab12cd", 300, tmp_path, {}, timing=VIRTUAL_TIME)
    assert "time-travel=inf-cpu" in program.argv
    settings = marshal.loads(program.files.contents["settings"])
    assert (settings["clock"], settings["guest_limit_s"]) == ("virtual", VIRTUAL_TIME.guest_limit_s)
    assert "time-travel=inf-cpu" not in plan_uml(linux, "ab12cd", 300, tmp_path, {}).argv
