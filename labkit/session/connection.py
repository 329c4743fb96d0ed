"""The connection file that Jupyter writes for a kernel: where it wants the kernel to listen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.errors import RequestError

if TYPE_CHECKING:
    from pathlib import Path

CHANNELS = ("shell", "iopub", "stdin", "control", "hb")
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Connection:
    """`address` and the TCP `ports` of the five channels; `text` is what ipykernel is given."""

    address: str
    ports: tuple[int, ...]
    text: str


def read_connection(path: Path) -> Connection:
    """Return the connection in `path`.

    Raises RequestError where the file cannot be read or asks for something other than TCP.
    """
    where = str(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        ports = tuple(int(values[f"{channel}_port"]) for channel in CHANNELS)
        transport, address = values.get("transport", "tcp"), str(values["ip"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(
            f"this is no connection file of Jupyter's ({error})",
            where=where,
            todo='let Jupyter start the kernel "Lab": it writes the file',
        ) from error
    if transport != "tcp":
        raise RequestError(
            f"the kernel is asked to listen on {transport!r}; it can only use TCP",
            where=where,
            todo="remove KernelManager.transport from Jupyter's configuration",
        )
    return Connection(address, ports, json.dumps({**values, "ip": LOOPBACK}))
