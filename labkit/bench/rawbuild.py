"""The limit of building: a network's own messages, packed before, one send for each namespace.

What is left at that time is what the kernel does: unshare, mounts, settings, and the messages' own work.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.bench.rawsend import send_batch
from labkit.bench.stopwatch import wall_s
from labkit.errors import GuestError
from labkit.fabric import syscalls
from labkit.fabric.build import configuration, port
from labkit.fabric.links import add_bridge
from labkit.fabric.namespace import NAMES, THIS_NETWORK, prepare_names
from labkit.fabric.netlink import packed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from labkit.fabric.netlink import Message
    from labkit.spec.addressplan import AddressPlan, NamespacePlan

_DESCRIPTOR = 0x7A7A0000  # stands for a namespace's descriptor until that is known
_u32 = struct.Struct("=I")


@dataclass(frozen=True, slots=True)
class _Place:
    """A namespace, with all that it is given: settings as (file, bytes), and its messages.

    `links` are the bridge's and the links' messages; `holes` are where the descriptors of the namespaces at
    their other ends belong.
    """

    path: Path
    settings: tuple[tuple[str, bytes], ...]
    links: bytes
    holes: tuple[tuple[int, str], ...]
    configuration: bytes


class RawBuild:
    """One network, prepared: `build_s` builds it and takes it away again."""

    def __init__(self, plan: AddressPlan) -> None:
        """Pack every message of `plan`."""
        self._places = {one.name: _prepare(one, plan) for one in plan.namespaces}

    def build_s(self) -> float:
        """Return the seconds that building takes; the namespaces' names go afterwards."""
        prepare_names()
        built = _Built(self._places)
        worker = threading.Thread(target=built.build)  # it ends in another namespace than it began in
        worker.start()
        worker.join()
        built.close()
        if built.seconds is None:
            raise GuestError("the network's own messages were refused", where=f"after {len(built.sockets)}")
        return built.seconds


class _Built:
    def __init__(self, places: Mapping[str, _Place]) -> None:
        self.places = places
        self.descriptors: dict[str, int] = {}
        self.sockets: dict[str, socket.socket] = {}
        self.seconds: float | None = None

    def build(self) -> None:
        self.seconds = wall_s(self._build)

    def _build(self) -> None:
        for name, place in self.places.items():
            os.close(os.open(place.path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0))
            syscalls.unshare_network()
            self.descriptors[name] = os.open(THIS_NETWORK, os.O_RDONLY)
            syscalls.bind_mount(THIS_NETWORK, place.path)
            self.sockets[name] = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            for path, value in place.settings:
                descriptor = os.open(path, os.O_WRONLY)
                os.write(descriptor, value)
                os.close(descriptor)
        for name, place in self.places.items():
            if place.links:
                batch = bytearray(place.links)
                for offset, inner in place.holes:
                    _u32.pack_into(batch, offset, self.descriptors[inner])
                send_batch(self.sockets[name], batch)
        for name, place in self.places.items():
            send_batch(self.sockets[name], place.configuration)

    def close(self) -> None:
        for one in self.sockets.values():
            one.close()
        for name, descriptor in self.descriptors.items():
            os.close(descriptor)
            syscalls.unmount(self.places[name].path)
            self.places[name].path.unlink()


def _prepare(plan: NamespacePlan, network: AddressPlan) -> _Place:
    inner = [link for link in network.links if link.outer == plan.name]
    messages = [] if plan.bridge is None else [add_bridge(plan.bridge)]
    messages += [one for number, link in enumerate(inner) for one in port(link, _DESCRIPTOR + number)]
    batch = _packed(messages)
    holes = ((batch.index(_u32.pack(_DESCRIPTOR + number)), link.inner) for number, link in enumerate(inner))
    settings = ((f"/proc/sys/{path}", value.encode()) for path, value in plan.sysctls)
    return _Place(NAMES / plan.name, tuple(settings), batch, tuple(holes), _packed(list(configuration(plan))))


def _packed(messages: Sequence[Message]) -> bytes:
    return b"".join(packed(messages, 1)) if messages else b""
