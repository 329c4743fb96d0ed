"""Real Jupyter kernels: the kernel "Lab", as Jupyter starts it."""

import contextlib

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from kernels import Kernel

from labkit.errors import CapabilityError
from labkit.guest.capabilities import choose_linux
from labkit.session import kernelspec


@pytest.fixture(scope="session")
def kernel_specs(tmp_path_factory):
    """A folder of our own where the kernel is registered, whatever else this user has."""
    try:
        choose_linux(None)
    except CapabilityError as error:
        pytest.skip(str(error))
    prefix = tmp_path_factory.mktemp("prefix")
    kernelspec.install(prefix=str(prefix))
    return KernelSpecManager(kernel_dirs=[str(prefix / "share/jupyter/kernels")])


@pytest.fixture
def new_kernel(kernel_specs, tmp_path):
    """Start kernels; end them after the test."""
    with contextlib.ExitStack() as kernels:

        def start() -> Kernel:
            kernel = Kernel(kernel_specs, tmp_path / f"kernel-{id(kernels)}.log")
            kernels.callback(kernel.close)
            return kernel

        yield start


@pytest.fixture(scope="module")
def kernel(kernel_specs, tmp_path_factory):
    """One kernel that a module's tests share."""
    kernel = Kernel(kernel_specs, tmp_path_factory.mktemp("kernel") / "log")
    yield kernel
    kernel.close()
