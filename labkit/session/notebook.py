"""One notebook while it is graded: its cells in their order, and what happens when one of them kills it.

Cells go to the learner's kernel under new message ids, and what comes back is let through only under the ids
of cells that were sent there: nothing can be said about a test cell from there.
When the kernel, its guest or its line is gone, or a cell does not end, that cell is an error; a fresh guest
is started, the cells before it are run again, without it, and the next one finds what it would have found.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import zmq

from labkit.errors import GuestError
from labkit.grade.desk import ANSWER, answer_expression, find_tested, read_answer
from labkit.session import bounds
from labkit.session.marks import Output, error_output, mark_answer
from labkit.session.passing import pass_on, pass_reply, say_left_out, written_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labkit.session.front import Front, Request
    from labkit.session.learner import LearnerKernel

_POLL_MS = 50
_ENDED = "CellEndedItsGuest"
_LATE = "CellTookTooLong"
_GIVEN_UP = "NotebookGivenUp"


class Notebook:
    """Serves Jupyter's requests until it asks to shut down."""

    def __init__(
        self, front: Front, start: Callable[[], LearnerKernel], key: str | None, cell_limit_s: float
    ) -> None:
        """Serve `front`; `start` starts the learner's kernel, `key` is that of the student's draws."""
        self._front = front
        self._start = start
        self._key = key
        self._cell_limit_s = cell_limit_s
        self._kernel: LearnerKernel | None = None
        self._sent: dict[str, Request] = {}  # by the id under which the learner's kernel knows it
        self._replies: dict[str, Mapping[str, Any]] = {}
        self._ended: set[str] = set()  # requests whose output is whole
        self._info: Mapping[str, Any] = {}
        self._ran: list[str] = []
        self._count = 0
        self._recoveries = 0
        self._interrupted_at = 0.0
        self._ends = time.monotonic() + bounds.NOTEBOOK_LIMIT_S
        self._given_up = ""
        self._is_over = False

    def serve(self) -> None:
        """Answer until Jupyter shuts the kernel down; then end the guest.

        Raises GuestError when no guest comes up at all.
        """
        try:
            self._boot()
            if self._given_up:
                raise GuestError(
                    "no guest comes up for the notebook", where=self._given_up, todo="labkit doctor"
                )
            while not self._is_over:
                if self._front.waiting:
                    self._answer(self._front.waiting.popleft())
                elif self._kernel is not None and self._is_dead():
                    self._recover()  # it died while nothing ran: of what one of the cells left behind
                else:
                    self._turn()
        finally:
            if self._kernel is not None:
                self._kernel.close()

    def _answer(self, request: Request) -> None:
        if request.type == "execute_request":
            self._execute(request)
        elif request.type == "kernel_info_request":
            self._publish_status(request, "busy")
            self._front.reply(request, "kernel_info_reply", self._info)
            self._publish_status(request, "idle")
        elif self._kernel is not None:
            type_, content = request.type, request.content
            self._sent[self._kernel.send(type_, content)] = request  # comm_open, complete_request, ...

    def _execute(self, request: Request) -> None:
        source = str(request.content.get("code", ""))
        exercise = find_tested(source)
        silent = bool(request.content.get("silent"))
        if exercise is None and self._kernel is not None and not self._given_up:
            self._run(request, source, silent=silent)
            return
        self._open(request, source)
        if exercise is not None:
            self._finish(request, self._mark(exercise))
        else:
            self._finish(request, error_output(_GIVEN_UP, self._given_up))

    def _run(self, request: Request, source: str, *, silent: bool) -> None:
        """Have a cell run in the learner's guest; it always ends, well or as an error.

        Where one of the cells before turns out to have left what ends guests, this one has its turn again.
        """
        if not silent:
            self._open(request, source)
        ran = len(self._ran)
        error = self._try(request)
        if error is not None:
            self._recover()
        if error is not None and self._kernel is not None and len(self._ran) < ran:
            error = self._try(request)
            if error is not None:
                self._recover()
        if error is not None:
            self._finish(request, error)
        elif not silent:
            self._ran.append(source)

    def _try(self, request: Request) -> Output | None:
        """Run a cell; None when it has been answered, else the error that it is to end with."""
        kernel = self._kernel
        if kernel is None:
            return error_output(_GIVEN_UP, self._given_up)
        sent = kernel.send(
            "execute_request", {**request.content, "allow_stdin": False, "stop_on_error": False}
        )
        self._sent[sent] = request
        why = self._await_reply(sent, self._cell_limit_s)
        if why is None:
            self._await_end_of_output(kernel, request, sent)
            content = pass_reply(self._replies.pop(sent)["content"], self._count)
            self._front.reply(request, "execute_reply", content)
            return None
        del self._sent[sent]
        return error_output(_LATE if kernel.is_alive else _ENDED, why)

    def _await_end_of_output(self, kernel: LearnerKernel, request: Request, sent: str) -> None:
        """Wait for the idle state behind a cell's last output; say so where that was lost, and listen anew.

        It is lost with a message that is larger than any may be: its connection ends.
        """
        if self._wait(lambda: sent in self._ended, bounds.OUTPUT_LIMIT_S):
            self._ended.discard(sent)
        elif not self._is_over:
            say_left_out(self._front, request)
            self._publish_status(request, "idle")
            try:
                kernel.listen_anew()
            except GuestError:
                self._recover()

    def _mark(self, exercise: str) -> Output:
        answer = self._ask(exercise) if not self._given_up else None
        if self._given_up:
            return error_output(_GIVEN_UP, self._given_up)
        return mark_answer(exercise, self._key, answer, self._wait)

    def _ask(self, exercise: str) -> str | None:
        """Return the answer that the learner's kernel gives, None where it gives none in time.

        A guest that ends meanwhile ends of what a cell left behind: that costs the cell, not the answer.
        """
        for _ in range(2):
            kernel = self._kernel
            if kernel is None:
                return None
            sent = self._send_question(kernel, exercise)
            if self._await_reply(sent, bounds.ANSWER_LIMIT_S) is None:
                return read_answer(self._replies.pop(sent)["content"])
            was_late = kernel.is_alive
            self._recover()
            if was_late:
                return None
        return None

    @staticmethod
    def _send_question(kernel: LearnerKernel, exercise: str) -> str:
        content = {"code": "", "silent": True, "store_history": False, "allow_stdin": False}
        content["user_expressions"] = {ANSWER: answer_expression(exercise)}
        return kernel.send("execute_request", content)

    def _await_reply(self, sent: str, limit_s: float) -> str | None:
        """Wait for the reply to `sent`; return why it will not come, None when it is in `_replies`."""
        kernel = self._kernel
        self._interrupted_at = 0.0
        deadline = time.monotonic() + limit_s
        while sent not in self._replies:
            self._turn()
            now = time.monotonic()
            if kernel is None or not kernel.is_alive:
                return kernel.last_words() if kernel else self._given_up
            if self._interrupted_at and now > self._interrupted_at + bounds.INTERRUPT_GRACE_S:
                return "it was interrupted and did not end"
            if not self._interrupted_at and now > min(deadline, self._ends):
                kernel.send("interrupt_request", {}, control=True)
                self._interrupted_at = now
            if self._is_over:
                return "the kernel was shut down"
        return None

    def _recover(self) -> None:
        """Start a fresh guest and run the cells again that ran before, without those that end it again.

        Where the guest does not outlive them, another one is watched after each cell: what a cell leaves
        behind may end it only when later ones, which are innocent, run.
        """
        self._recoveries += 1
        if self._recoveries > bounds.MOST_RECOVERIES:
            self._give_up(f"its cells ended {self._recoveries} guests; no more are started")
            return
        watched_s = 0.0
        while not self._is_over and not self._given_up:
            self._boot()
            guilty = self._find_guilty(watched_s)
            if guilty is None:
                return
            if watched_s:
                del self._ran[guilty]
            watched_s = bounds.SETTLING_S

    def _find_guilty(self, watched_s: float) -> int | None:
        """Run the cells again, each watched so long; return the place of the one that ends the guest.

        None when it lives on once all have run and it has been watched for a while.
        """
        for place, source in enumerate(self._ran):
            if self._kernel is None:
                return None
            sent = self._kernel.send("execute_request", {"code": source, "allow_stdin": False})
            if self._await_reply(sent, self._cell_limit_s) is not None:
                return place
            del self._replies[sent]
            if watched_s and self._wait(self._is_dead, watched_s):
                return place
        died = bool(self._ran) and self._wait(self._is_dead, bounds.SETTLING_S)
        return len(self._ran) - 1 if died else None

    def _is_dead(self) -> bool:
        return self._kernel is None or not self._kernel.is_alive

    def _boot(self) -> None:
        if self._kernel is not None:
            self._kernel.close()
        self._kernel = None
        self._replies.clear()
        if time.monotonic() > self._ends:
            self._give_up(f"it took more than {bounds.NOTEBOOK_LIMIT_S:.0f} seconds in all")
            return
        kernel = self._start()
        try:
            kernel.await_ready()
        except GuestError as error:
            kernel.close()
            self._give_up(" / ".join(error.lines()))
            return
        self._kernel = kernel
        self._info = self._info or kernel.info

    def _give_up(self, why: str) -> None:
        if self._kernel is not None:
            self._kernel.close()
        self._kernel, self._given_up = None, why

    def _wait(self, is_done: Callable[[], bool], limit_s: float) -> bool:
        deadline = time.monotonic() + limit_s
        while not is_done() and time.monotonic() < deadline and not self._is_over:
            self._turn()
        return is_done()

    def _turn(self) -> None:
        """Wait for the next message from either side, for a moment, and pass it on."""
        poller = zmq.Poller()
        for side in (self._front.poller, *([self._kernel.poller] if self._kernel else [])):
            for socket, events in side.sockets:
                poller.register(socket, events)
        poller.poll(_POLL_MS)
        self._front.receive()
        while self._front.control:
            self._obey(self._front.control.popleft())
        if self._kernel is not None:
            self._take(self._kernel)

    def _obey(self, request: Request) -> None:
        if request.type == "shutdown_request":
            self._is_over = True
        elif request.type == "interrupt_request" and self._kernel is not None:
            self._kernel.send("interrupt_request", {}, control=True)
            self._interrupted_at = self._interrupted_at or time.monotonic()
        self._front.reply(
            request, request.type.replace("_request", "_reply"), {"status": "ok", "restart": False}
        )

    def _take(self, kernel: LearnerKernel) -> None:
        for message in kernel.received(kernel.iopub):
            sent = str(message["parent_header"].get("msg_id"))
            request = self._sent.get(sent)
            if request is not None:
                pass_on(self._front, request, message)
                if (
                    message["header"]["msg_type"] == "status"
                    and message["content"].get("execution_state") == "idle"
                ):
                    self._ended.add(sent)
        for message in kernel.received(kernel.shell):
            sent = str(message["parent_header"].get("msg_id"))
            request = self._sent.get(sent)
            if message["header"]["msg_type"] == "execute_reply":
                self._replies[sent] = message
            elif request is not None and written_size(message["content"]) is not None:
                self._front.reply(request, message["header"]["msg_type"], message["content"])
        for _ in kernel.received(kernel.control):
            continue

    def _open(self, request: Request, source: str) -> None:
        self._count += 1
        self._publish_status(request, "busy")
        self._front.publish(request, "execute_input", {"code": source, "execution_count": self._count})

    def _finish(self, request: Request, output: Output) -> None:
        """End a cell here: its one output, its reply, its idle state."""
        content = (
            {**output.content, "execution_count": self._count} if output.type != "error" else output.content
        )
        self._front.publish(request, output.type, content)
        reply = (
            {"status": "ok", "user_expressions": {}, "payload": []}
            if output.type != "error"
            else {"status": "error", **output.content}
        )
        self._front.reply(request, "execute_reply", {**reply, "execution_count": self._count})
        self._publish_status(request, "idle")

    def _publish_status(self, request: Request, state: str) -> None:
        self._front.publish(request, "status", {"execution_state": state})
