"""Where functions that need guests are called: concurrent.futures' Executor, on this machine.

`run_job` may be called by any function that an executor calls, here or on another machine: within a
`JobExecutor` the guest belongs to its pool and ends with it, elsewhere it has a pool of its own.
"""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from labkit.guest.jobs import Job, JobPool

if TYPE_CHECKING:
    from collections.abc import Callable

Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")
_here = threading.local()


def run_job(job: Job) -> bytes:
    """Run a job in a fresh guest and return its reply; raises what the future of `JobPool.submit` raises."""
    pool: JobPool | None = getattr(_here, "pool", None)
    if pool is not None:
        return pool.submit(job).result()
    with JobPool(1) as own:
        return own.submit(job).result()


class JobExecutor(Executor):
    """Calls functions in threads, as many at a time as guests may run.

    Leaving it by an error or an interrupt ends the guests first.
    """

    def __init__(self, workers: int | None = None) -> None:
        """Run `workers` guests at a time (None: one for each of this machine's processors)."""
        self._jobs = JobPool(workers)
        self._threads = ThreadPoolExecutor(self._jobs.workers, "executor")

    def submit(
        self,
        fn: Callable[Arguments, Made],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Future[Made]:
        """Call a function as soon as there is room; the future holds what it returns or raises."""

        def call() -> Made:
            _here.pool = self._jobs
            return fn(*args, **kwargs)

        return self._threads.submit(call)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        """Take no more calls; wait for those that run, or for all."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        if wait:
            self._jobs.shutdown()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._jobs.cancel()
        self.shutdown()
