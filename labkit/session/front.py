"""The five sockets that Jupyter talks to when it grades, served outside of every guest.

The kernel behind them may die and be started anew: to Jupyter there is one kernel, which answers. Requests of
the shell channel wait here in their order; heartbeats are echoed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import zmq
from jupyter_client.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CHANNELS = {"shell": zmq.ROUTER, "control": zmq.ROUTER, "stdin": zmq.ROUTER, "iopub": zmq.PUB, "hb": zmq.REP}


@dataclass(slots=True)
class Request:
    """A message from Jupyter, how many bytes of output it has had so far, and whether more was left out."""

    channel: str
    identities: list[bytes]
    message: Mapping[str, Any]
    output_bytes: int = 0
    is_cut: bool = False

    @property
    def type(self) -> str:
        """The message's type: `execute_request`, `kernel_info_request`, ..."""
        return str(self.message["header"]["msg_type"])

    @property
    def content(self) -> Mapping[str, Any]:
        """The message's content."""
        content: Mapping[str, Any] = self.message["content"]
        return content


class Front:
    """Where Jupyter's clients connect. A context manager."""

    def __init__(self, connection_file: Path) -> None:
        """Listen as Jupyter's connection file says; raises zmq.ZMQError where a port is taken."""
        from jupyter_client.connect import ConnectionFileMixin

        loaded = ConnectionFileMixin(connection_file=str(connection_file))
        loaded.load_connection_file()
        self.session = Session(key=loaded.session.key, signature_scheme=loaded.session.signature_scheme)
        self.poller = zmq.Poller()
        self._context = zmq.Context()
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        self.output_bytes = 0
        for channel, kind in _CHANNELS.items():
            socket = self._context.socket(kind)
            socket.linger = 1000
            socket.bind(f"tcp://{loaded.ip}:{getattr(loaded, channel + '_port')}")
            self._sockets[channel] = socket
            if channel != "iopub":
                self.poller.register(socket, zmq.POLLIN)
        self.waiting: deque[Request] = deque()
        self.control: deque[Request] = deque()

    def close(self) -> None:
        """Send what is still to be sent, for a second, and stop listening."""
        self._context.destroy(linger=1000)

    def receive(self) -> None:
        """Take what has come: requests to `waiting` and `control`. What is signed wrongly is dropped."""
        for channel, queue in (("shell", self.waiting), ("control", self.control)):
            while self._sockets[channel].poll(0):
                request = self._take(channel)
                if request is not None:
                    queue.append(request)
        while self._sockets["stdin"].poll(0):
            self._sockets["stdin"].recv_multipart()  # notebooks that are graded ask nothing
        while self._sockets["hb"].poll(0):
            self._sockets["hb"].send(self._sockets["hb"].recv())

    def reply(
        self, request: Request, type_: str, content: Mapping[str, Any], buffers: list[bytes] | None = None
    ) -> None:
        """Answer a request on the channel that it came by."""
        self.session.send(
            self._sockets[request.channel],
            type_,
            dict(content),
            parent=request.message["header"],
            ident=request.identities,
            buffers=buffers,
        )

    def publish(
        self,
        request: Request,
        type_: str,
        content: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        buffers: list[bytes] | None = None,
    ) -> None:
        """Publish something about a request on iopub."""
        self.session.send(
            self._sockets["iopub"],
            type_,
            dict(content),
            parent=request.message["header"],
            ident=type_.encode(),
            metadata=dict(metadata or {}),
            buffers=buffers,
        )

    def _take(self, channel: str) -> Request | None:
        frames = self._sockets[channel].recv_multipart()
        try:
            identities, rest = self.session.feed_identities(frames)
            return Request(channel, identities, self.session.deserialize(rest))
        except (ValueError, KeyError, TypeError, IndexError):
            return None
