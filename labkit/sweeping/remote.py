"""Executors elsewhere: a Dask scheduler's workers, where labkit is installed as it is here."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from labkit.errors import CapabilityError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

CONNECT_TIMEOUT_S = 10


@contextlib.contextmanager
def open_dask_executor(address: str) -> Iterator[Executor]:
    """Yield the executor of a Dask scheduler (`tcp://host:8786`).

    Raises CapabilityError where Dask is not installed, RequestError where no scheduler answers there.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise CapabilityError(
            "--scheduler needs Dask, which is not installed", todo="pip install 'labkit[dask]'"
        ) from error
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT_S)
    except (OSError, ValueError, TypeError) as error:
        raise RequestError(
            f"no Dask scheduler answers: {error}",
            where=f"--scheduler {address}",
            todo="give its address, such as tcp://127.0.0.1:8786 (dask scheduler prints it)",
        ) from error
    with client, client.get_executor() as executor:
        yield executor
