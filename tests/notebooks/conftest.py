"""The lessons as learners run them: the kernel "Lab", registered in a folder of the tests' own."""

import pytest

from labkit.errors import CapabilityError
from labkit.guest.capabilities import choose_linux
from labkit.session import kernelspec


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory):
    """A Jupyter data folder that has the kernel "Lab" in it; skip where no lab can run."""
    try:
        choose_linux(None)
    except CapabilityError as error:
        pytest.skip(str(error))
    prefix = tmp_path_factory.mktemp("prefix")
    kernelspec.install(prefix=str(prefix))
    return prefix / "share/jupyter"
