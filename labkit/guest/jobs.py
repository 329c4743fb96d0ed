"""Jobs: bytes in, bytes out, each in a fresh guest of its own.

A job runs in a process (`jobhost.py`) that boots the guest, so that the pool's own process may have
threads, and the death of one guest is no concern of the others. A job's host ends with the pool, however
that ends: it watches the pipe that its request came through.
"""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from labkit.errors import GuestError, decode_error
from labkit.guest.clock import REAL_TIME, Timing
from labkit.guest.info import current
from labkit.guest.jobhosts import open_job_host
from labkit.guest.processors import usable_processors
from labkit.guest.run import DEFAULT_MEMORY_MB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from labkit.guest.jobhosts import JobHost

REPLY, FAILURE = b"+", b"-"  # what a host answers begins with one of these


@dataclass(frozen=True, slots=True)
class Job:
    """A command that reads `request` from its standard input and writes the reply to its output.

    `name` is for people: progress and errors. `guest` is as for `choose_linux`.
    """

    name: str
    argv: tuple[str, ...]
    request: bytes = field(default=b"", repr=False)
    timing: Timing = REAL_TIME
    memory_mb: int = DEFAULT_MEMORY_MB
    guest: str | None = None

    def to_bytes(self) -> bytes:
        """Return the job as it goes to its host: its length, its description as JSON, its request."""
        values = asdict(self)
        request, values["timing"] = values.pop("request"), self.timing._asdict()
        head = json.dumps(values).encode() + b"\n"
        sizes = f"{len(head)} {len(request)}\n".encode()
        return sizes + head + bytes(request)

    @classmethod
    def read(cls, descriptor: int) -> Job:
        """Return the job that stands next in a file: exactly its bytes are read, the file stays open."""
        sizes = bytearray()
        while not sizes.endswith(b"\n"):
            sizes += _read(descriptor, 1)
        head, request = (_read(descriptor, int(size)) for size in sizes.split())
        values: dict[str, Any] = json.loads(head)
        timing, argv = Timing(**values.pop("timing")), tuple(values.pop("argv"))
        return cls(argv=argv, timing=timing, request=request, **values)


class JobPool:
    """Runs jobs, as many at a time as there are processors, with the interface of concurrent.futures.

    Leaving it waits for all jobs; leaving it by an error or an interrupt ends them and their guests first.
    """

    def __init__(self, workers: int | None = None) -> None:
        """Start no more than `workers` guests at a time (None: one for each of this machine's processors)."""
        here = current()
        self.workers = workers or (here.host_cpus if here else usable_processors())
        self._threads = ThreadPoolExecutor(self.workers, "job")
        self._hosts: set[JobHost] = set()
        self._lock = threading.Lock()
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.shutdown()
        else:
            self.cancel()

    def submit(self, job: Job) -> Future[bytes]:
        """Start a job as soon as there is room for its guest; the future holds its reply.

        It raises CapabilityError or GuestError, with the job's name and the last words of its command or its
        guest, when there is no reply.
        """
        return self._threads.submit(self._run, job)

    def map(self, jobs: Iterable[Job]) -> Iterator[bytes]:
        """Yield the replies in the order of the jobs; raises where one failed."""
        futures = [self.submit(job) for job in jobs]
        return (future.result() for future in futures)

    def shutdown(self, *, cancel_futures: bool = False) -> None:
        """Wait for all jobs (`cancel_futures`: for those that run) and take no more."""
        self._threads.shutdown(cancel_futures=cancel_futures)

    def cancel(self) -> None:
        """End all jobs and their guests, and wait until nothing of them is left."""
        with self._lock:
            self._ended = True
            for host in self._hosts:
                host.end()
        self.shutdown(cancel_futures=True)

    def _run(self, job: Job) -> bytes:
        host = self._open_host()
        try:
            reply = host.converse(job.to_bytes())
        finally:
            with self._lock:
                self._hosts.discard(host)
            words = host.close()
        if reply.startswith(REPLY):
            return reply[len(REPLY) :]
        try:
            error = decode_error(reply.removeprefix(FAILURE))
        except ValueError:
            error = GuestError(
                "the process that runs its guest ended early",
                where=words or "without a word",
                todo="run it again",
            )
        if isinstance(error, GuestError):  # what is missing on this machine is no matter of this job
            error.message = f"{job.name}: {error.message}"
        raise error

    def _open_host(self) -> JobHost:
        with self._lock:
            if self._ended:
                raise GuestError("it was cancelled before it began")
            host = open_job_host()
            self._hosts.add(host)
            return host


def _read(descriptor: int, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = os.read(descriptor, count - len(data))
        if not piece:
            raise EOFError("the job's request ended early")
        data += piece
    return bytes(data)
