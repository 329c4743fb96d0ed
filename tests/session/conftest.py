"""Real Jupyter kernels: the kernel "Lab", as Jupyter starts it."""

import contextlib

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from kernels import Kernel


@pytest.fixture(scope="session")
def kernel_specs(jupyter_data):
    """The kernels there are: only the one that the tests have registered."""
    return KernelSpecManager(kernel_dirs=[str(jupyter_data / "kernels")])


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
