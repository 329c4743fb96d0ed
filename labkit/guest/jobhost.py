"""The process that runs one job: boots a guest, hands the request over, gives the reply back, ends the guest.

Standard input carries the job and then nothing more; its end means that the pool is gone. Standard output
carries the reply after a `+`, or an error as JSON after a `-`.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from labkit.errors import CapabilityError, GuestError, LabError, encode_error
from labkit.guest.capabilities import choose_linux
from labkit.guest.capture import run_and_capture
from labkit.guest.jobs import FAILURE, REPLY, Job
from labkit.guest.jobserver import FROM_GUEST
from labkit.guest.run import Guest, describe_wait_status

if TYPE_CHECKING:
    from types import FrameType

_STDIN, _STDOUT = 0, 1
_LAST_LINES = 4
# The reply comes back through the file system that guest and host share: in virtual time the serial port
# stops for good when the host does not read as fast as the guest writes.
_INTO_FILE = ("sh", "-c", 'exec > "$0"; exec "$@"')


def main() -> NoReturn:
    """Run the job that stands in standard input."""
    signal.signal(signal.SIGTERM, _leave)
    job = Job.read(_STDIN)
    if FROM_GUEST in sys.argv:
        job = replace(job, guest=None)  # what runs in a guest does not choose what runs outside
    try:
        answer = REPLY + host_job(job)
    except LabError as error:
        answer = FAILURE + encode_error(error)
    with open(_STDOUT, "wb") as file:
        file.write(answer)
    sys.exit()


def host_job(job: Job) -> bytes:
    """Return the reply of a job, from a fresh guest that is gone again.

    Raises CapabilityError when no guest here can run it, GuestError when the guest dies, the job takes longer
    than it may, or its command fails.
    """
    linux = choose_linux(job.guest, clock=job.timing.clock)
    if linux.kind == "inside":
        raise CapabilityError(
            "a job needs a guest of its own, and none can be started from inside a guest",
            where=linux.why,
            todo="start it from outside the lab's Linux",
        )
    with tempfile.NamedTemporaryFile(prefix="labkit-reply-") as reply:
        with Guest.boot(linux, memory_mb=job.memory_mb, timing=job.timing, replies=(reply.name,)) as guest:
            guest.loop.on_readable(_STDIN, _leave_at_end)
            captured = run_and_capture(guest, (*_INTO_FILE, reply.name, *job.argv), job.request)
        output = reply.read()
    if captured.wait_status != 0:
        words = captured.errors.decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
        raise GuestError(
            f"its command {describe_wait_status(captured.wait_status)}",
            where=" / ".join(words) or "without a word",
        )
    return output


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the guest's end is under way
    raise SystemExit(128 + signal.SIGTERM)


def _leave_at_end() -> None:
    if not os.read(_STDIN, 1):
        raise SystemExit(1)
