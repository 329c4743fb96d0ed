"""The messages between Jupyter's side of a notebook and the learner's kernel, a turn at a time.

What comes from the learner's kernel is let through only under the ids of requests that were sent there:
nothing can be said about a test cell from there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import zmq

from labkit.session import bounds
from labkit.session.passing import pass_on, written_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labkit.session.front import Front, Request
    from labkit.session.learner import LearnerKernel

_POLL_MS = 50


class Exchange:
    """Passes messages on while somebody waits for one; `kernel` is the learner's, if there is one."""

    def __init__(self, front: Front) -> None:
        """Exchange messages with `front`; there is no kernel yet."""
        self.front = front
        self.kernel: LearnerKernel | None = None
        self.is_over = False
        self._requests: dict[str, Request] = {}  # by the id under which the learner's kernel knows it
        self._replies: dict[str, Mapping[str, Any]] = {}
        self._ended: set[str] = set()  # what has all its output
        self._interrupted_at = 0.0

    @property
    def is_dead(self) -> bool:
        """Whether there is no kernel that lives."""
        return self.kernel is None or not self.kernel.is_alive

    def connect(self, kernel: LearnerKernel | None) -> None:
        """Close the kernel that there was, and exchange messages with `kernel` from now on."""
        if self.kernel is not None:
            self.kernel.close()
        self.kernel = kernel
        self._replies.clear()

    def pass_in(self, kernel: LearnerKernel, request: Request, content: Mapping[str, Any]) -> str:
        """Send `request` to the learner's kernel with this content; return the id that it has there."""
        sent = kernel.send(request.type, dict(content))
        self._requests[sent] = request
        return sent

    def await_reply(self, sent: str, ends: float) -> Mapping[str, Any] | str:
        """Return the content of the reply to `sent`, or why none comes; interrupt it at monotonic `ends`."""
        kernel = self.kernel
        self._interrupted_at = 0.0
        while sent not in self._replies:
            self.turn()
            why = self._why_none_comes(kernel, ends)
            if why and sent not in self._replies:
                self._requests.pop(sent, None)
                return why
        content: Mapping[str, Any] = self._replies.pop(sent)["content"]
        return content

    def _why_none_comes(self, kernel: LearnerKernel | None, ends: float) -> str:
        now = time.monotonic()
        if kernel is None:
            return "there is no kernel"
        if not kernel.is_alive:
            return kernel.last_words()
        if self._interrupted_at and now > self._interrupted_at + bounds.INTERRUPT_GRACE_S:
            return "it was interrupted and did not end"
        if not self._interrupted_at and now > ends:
            kernel.send("interrupt_request", {}, control=True)
            self._interrupted_at = now
        return "the kernel was shut down" if self.is_over else ""

    def has_all_output(self, sent: str) -> bool:
        """Wait for the idle state behind the last output of `sent`; return False where it does not come."""
        self.wait(lambda: sent in self._ended or self.is_dead, bounds.OUTPUT_LIMIT_S)
        is_whole = sent in self._ended
        self._ended.discard(sent)
        return is_whole

    def wait(self, is_done: Callable[[], bool], limit_s: float) -> bool:
        """Pass messages on until it is done, time is up, or Jupyter shuts down; return whether it is."""
        deadline = time.monotonic() + limit_s
        while not is_done() and time.monotonic() < deadline and not self.is_over:
            self.turn()
        return is_done()

    def turn(self) -> None:
        """Wait for the next message from either side, for a moment, and pass it on."""
        poller = zmq.Poller()
        for side in (self.front.poller, *([self.kernel.poller] if self.kernel else [])):
            for socket, events in side.sockets:
                poller.register(socket, events)
        poller.poll(_POLL_MS)
        self.front.receive()
        while self.front.control:
            self._obey(self.front.control.popleft())
        if self.kernel is not None:
            self._take(self.kernel)

    def _obey(self, request: Request) -> None:
        if request.type == "shutdown_request":
            self.is_over = True
        elif request.type == "interrupt_request" and self.kernel is not None:
            self.kernel.send("interrupt_request", {}, control=True)
            self._interrupted_at = self._interrupted_at or time.monotonic()
        self.front.reply(
            request, request.type.replace("_request", "_reply"), {"status": "ok", "restart": False}
        )

    def _take(self, kernel: LearnerKernel) -> None:
        for message in kernel.received(kernel.iopub):
            self._take_output(message)
        for message in kernel.received(kernel.shell):
            self._take_reply(message)
        for _ in kernel.received(kernel.control):
            continue

    def _take_output(self, message: Mapping[str, Any]) -> None:
        sent = str(message["parent_header"].get("msg_id"))
        request = self._requests.get(sent)
        if request is None:
            return
        pass_on(self.front, request, message)
        is_status = message["header"]["msg_type"] == "status"
        if is_status and message["content"].get("execution_state") == "idle":
            self._ended.add(sent)

    def _take_reply(self, message: Mapping[str, Any]) -> None:
        sent = str(message["parent_header"].get("msg_id"))
        request = self._requests.get(sent)
        if message["header"]["msg_type"] == "execute_reply":
            self._replies[sent] = message
        elif request is not None and written_size(message["content"]) is not None:
            self.front.reply(request, message["header"]["msg_type"], message["content"])
