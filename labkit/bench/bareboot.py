"""The guest's kernel without labkit: booted to the least that can be its first program."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from labkit.errors import CapabilityError, GuestError
from labkit.guest.boot import SWIFT
from labkit.guest.capabilities import choose_linux
from labkit.guest.placement import stay_here
from labkit.guest.places import choose_memory_directory
from labkit.guest.run import DEFAULT_MEMORY_MB

if TYPE_CHECKING:
    from collections.abc import Callable

# reboot(2): LINUX_REBOOT_CMD_POWER_OFF, and its two magic numbers, which the C library adds.
_POWER_OFF, _MAGIC, _MAGIC2 = 0x4321FEDC, 0xFEE1DEAD, 0x28121969
_HALT_IN_PYTHON = f"import ctypes; ctypes.CDLL(None).reboot({_POWER_OFF})\n"
_GREET_IN_PYTHON = f"import os; os.write(1, b'!'); {_HALT_IN_PYTHON}"
_DEADLINE_S = 60
_LAST_CHARACTERS = 300


def boot_and_halt() -> float:
    """Return the seconds from starting the kernel to its end, when a one-line init in Python halts it."""
    return _boot(_python(_HALT_IN_PYTHON), _to_the_end)


def boot_to_first_byte() -> float:
    """Return the seconds from starting the kernel to the first byte that a one-line init writes."""
    return _boot(_python(_GREET_IN_PYTHON), _to_first_byte)


def boot_kernel_alone() -> float:
    """Return the seconds from starting the kernel to its end, when its init is one system call that halts."""
    return _boot(_halting_program, _to_the_end)


def halting_program() -> bytes:
    """Return an ELF file for x86-64 (elf(5)) that calls reboot(2) to power off, and nothing else."""
    code = b"".join(
        (
            b"\xb8" + struct.pack("<I", 169),  # mov eax, the number of reboot
            b"\xbf" + struct.pack("<I", _MAGIC),  # mov edi
            b"\xbe" + struct.pack("<I", _MAGIC2),  # mov esi
            b"\xba" + struct.pack("<I", _POWER_OFF),  # mov edx
            b"\x0f\x05",  # syscall
        )
    )
    address, headers = 0x400000, 64 + 56
    size = headers + len(code)
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    fields = (2, 62, 1, address + headers, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    header = identity + struct.pack("<HHIQQQIHHHHHH", *fields)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, address, address, size, size, 0x1000)
    return header + segment + code


def _python(line: str) -> Callable[[Path], tuple[str, ...]]:
    def write(folder: Path) -> tuple[str, ...]:
        (folder / "init.py").write_text(line)
        return (f"init={os.path.realpath(sys.executable)}", "--", "-I", "-S", str(folder / "init.py"))

    return write


def _halting_program(folder: Path) -> tuple[str, ...]:
    program = folder / "init"
    program.write_bytes(halting_program())
    program.chmod(0o755)
    return (f"init={program}",)


def _boot(
    init: Callable[[Path], tuple[str, ...]], measure: Callable[[subprocess.Popen[bytes], float], float]
) -> float:
    """Boot the kernel that the lab would use, with the first program that `init` writes, and measure it."""
    linux = choose_linux()
    if linux.kind != "uml":
        raise CapabilityError("the lab does not boot a kernel here", where=linux.why)
    memory_mb = DEFAULT_MEMORY_MB
    with tempfile.TemporaryDirectory(prefix="labkit-bare-") as folder:
        argv = (
            linux.binary,
            *("rootfstype=hostfs", "root=/dev/root", "rw", "hostfs=/", f"mem={memory_mb}M"),
            *("con=null", "con0=null,fd:1", "quiet", f"uml_dir={folder}/", "umid=bare", *SWIFT),
            *init(Path(folder)),
        )
        environment = {"TMPDIR": str(choose_memory_directory(memory_mb, os.environ)), "HOME": folder}
        begun = time.monotonic()
        process = subprocess.Popen(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=stay_here,  # noqa: PLW1509 - as the lab keeps it, and nothing here has threads
        )
        with process:
            try:
                return measure(process, begun)
            except BaseException:
                process.terminate()  # it ends the whole of User-Mode Linux
                raise


def _to_the_end(process: subprocess.Popen[bytes], begun: float) -> float:
    console, _ = process.communicate(timeout=_DEADLINE_S)
    measured_s = time.monotonic() - begun
    _require_success(process, console)
    return measured_s


def _to_first_byte(process: subprocess.Popen[bytes], begun: float) -> float:
    first = cast("IO[bytes]", process.stdout).read(1)
    measured_s = time.monotonic() - begun
    process.communicate(timeout=_DEADLINE_S)
    _require_success(process, first)
    return measured_s


def _require_success(process: subprocess.Popen[bytes], console: bytes) -> None:
    if process.returncode != 0:
        words = console.decode(errors="replace").strip()[-_LAST_CHARACTERS:]
        raise GuestError("the kernel alone did not boot", where=words, todo="labkit doctor")
