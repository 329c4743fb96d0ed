"""What several kinds of tests need."""

import os
import signal

import pytest

from labkit.errors import CapabilityError
from labkit.guest.capabilities import choose_linux
from labkit.session import kernelspec

# A shell's background job ignores interrupts, and so would every command that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def some_linux():
    """Skip where no lab can run; in CI that is a failure: `make setup` brings one."""
    try:
        choose_linux(None)
    except CapabilityError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def jupyter_data(some_linux, tmp_path_factory):
    """A Jupyter data folder of the tests' own that has the kernel "Lab" in it."""
    prefix = tmp_path_factory.mktemp("prefix")
    kernelspec.install(prefix=str(prefix))
    return prefix / "share/jupyter"
