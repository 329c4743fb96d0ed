"""A group of benchmarks for the tests of the bench itself: what it counts does not take time."""

from contextlib import contextmanager
from itertools import count

from labkit.bench.benchmark import Benchmark, Contenders
from labkit.errors import CapabilityError, GuestError
from labkit.guest.info import current


@contextmanager
def where_it_runs():
    """Ours counts its calls, the limit says whether this is a guest, one peer is not there."""
    calls = count(1)

    def absent():
        raise CapabilityError("mininet is not installed")

    yield Contenders(
        lambda: float(next(calls)),
        lambda: float(current() is not None),
        {"mininet": absent, "ip": lambda: 8.0},
    )


@contextmanager
def trouble():
    raise GuestError("the kernel refused it", where="veth", todo="nothing")
    yield


BENCHMARKS = (
    Benchmark("inside", "counting", "calls", "lower", where_it_runs, place="guest", rounds=3),
    Benchmark("trouble", "failing", "calls", "lower", trouble, place="guest", rounds=3),
)
