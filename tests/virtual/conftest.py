"""Tests of virtual time: run from the host, in guests of their own; skipped where no guest here has it."""

import pytest

from labkit.errors import CapabilityError
from labkit.guest.capabilities import choose_linux
from labkit.guest.clock import VIRTUAL_TIME
from labkit.guest.run import Guest


@pytest.fixture(scope="session", autouse=True)
def _a_guest_with_virtual_time():
    try:
        with Guest.boot(choose_linux(clock="virtual"), timing=VIRTUAL_TIME):
            pass
    except CapabilityError as error:
        pytest.skip(str(error))
