"""One notebook while it is graded: its cells in their order, and what each of them comes to.

A cell goes to the learner's kernel, a test cell is marked beside it. When the kernel, its guest or its line
is gone, or a cell does not end, that cell is an error, and the next one finds a fresh guest in which all
others have run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import GuestError
from labkit.grade.desk import ANSWER, answer_expression, find_tested, read_answer
from labkit.session import bounds
from labkit.session.exchange import Exchange
from labkit.session.guests import Guests
from labkit.session.marks import Output, error_output, mark_answer
from labkit.session.passing import pass_reply, say_left_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from labkit.session.front import Front, Request
    from labkit.session.learner import LearnerKernel

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
        self._key = key
        self._cell_limit_s = cell_limit_s
        self._exchange = Exchange(front)
        self._guests = Guests(self._exchange, start, cell_limit_s)
        self._count = 0

    def serve(self) -> None:
        """Answer until Jupyter shuts the kernel down; then end the guest.

        Raises GuestError when no guest comes up at all.
        """
        exchange, guests = self._exchange, self._guests
        try:
            guests.boot()
            if guests.given_up:
                raise GuestError(
                    "no guest comes up for the notebook", where=guests.given_up, todo="labkit doctor"
                )
            while not exchange.is_over:
                if exchange.kernel is not None and exchange.is_dead:
                    guests.recover()  # it died while nothing ran: of what one of the cells left behind
                elif self._front.waiting:
                    self._answer(self._front.waiting.popleft())
                else:
                    exchange.turn()
        finally:
            exchange.connect(None)

    def _answer(self, request: Request) -> None:
        kernel = self._exchange.kernel
        if request.type == "execute_request":
            self._execute(request)
        elif request.type == "kernel_info_request":
            self._publish_status(request, "busy")
            self._front.reply(request, "kernel_info_reply", self._guests.info)
            self._publish_status(request, "idle")
        elif kernel is not None:  # comm_open, complete_request, ...
            self._exchange.pass_in(kernel, request, request.content)

    def _execute(self, request: Request) -> None:
        source = str(request.content.get("code", ""))
        exercise = find_tested(source)
        silent = bool(request.content.get("silent"))
        if exercise is None and self._exchange.kernel is not None and not self._guests.given_up:
            self._run(request, source, silent=silent)
            return
        self._open(request, source)
        if exercise is not None:
            self._finish(request, self._mark(exercise))
        else:
            self._finish(request, self._given_up())

    def _run(self, request: Request, source: str, *, silent: bool) -> None:
        """Have a cell run in the learner's guest; it always ends, well or as an error.

        Where one of the cells before turns out to have left what ends guests, this one has its turn again.
        """
        if not silent:
            self._open(request, source)
        ran = len(self._guests.ran)
        error = self._try(request)
        if error is not None and self._exchange.kernel is not None and len(self._guests.ran) < ran:
            error = self._try(request)
        if error is not None:
            self._finish(request, error)
        elif not silent:
            self._guests.ran.append(source)

    def _try(self, request: Request) -> Output | None:
        """Run a cell; None when it has been answered, else the error that it ends with, in a fresh guest."""
        kernel = self._exchange.kernel
        if kernel is None:
            return self._given_up()
        content = {**request.content, "allow_stdin": False, "stop_on_error": False}
        sent = self._exchange.pass_in(kernel, request, content)
        reply = self._exchange.await_reply(sent, self._guests.deadline(self._cell_limit_s))
        if isinstance(reply, str):
            error = error_output(_LATE if kernel.is_alive else _ENDED, reply)
            self._guests.recover()
            return error
        if not self._exchange.has_all_output(sent):
            self._end_output(kernel, request)
        self._front.reply(request, "execute_reply", pass_reply(reply, self._count))
        return None

    def _end_output(self, kernel: LearnerKernel, request: Request) -> None:
        """End the output of a cell whose idle state is lost; say so where some of its output is, too.

        It is lost with its kernel, or with a message larger than any may be, which ends the connection.
        """
        if kernel.is_alive and not self._exchange.is_over:
            say_left_out(self._front, request)
            kernel.listen_anew()
        self._publish_status(request, "idle")

    def _mark(self, exercise: str) -> Output:
        answer = self._ask(exercise) if not self._guests.given_up else None
        if self._guests.given_up:
            return self._given_up()
        return mark_answer(exercise, self._key, answer, self._exchange.wait)

    def _ask(self, exercise: str) -> str | None:
        """Return the answer that the learner's kernel gives, None where it gives none in time.

        A guest that ends meanwhile ends of what a cell left behind: that costs the cell, not the answer.
        """
        content = {"code": "", "silent": True, "store_history": False, "allow_stdin": False}
        content["user_expressions"] = {ANSWER: answer_expression(exercise)}
        for _ in range(2):
            kernel = self._exchange.kernel
            if kernel is None:
                return None
            sent = kernel.send("execute_request", content)
            reply = self._exchange.await_reply(sent, self._guests.deadline(bounds.ANSWER_LIMIT_S))
            if not isinstance(reply, str):
                return read_answer(reply)
            was_late = kernel.is_alive
            self._guests.recover()
            if was_late:
                return None
        return None

    def _given_up(self) -> Output:
        return error_output(_GIVEN_UP, self._guests.given_up)

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
