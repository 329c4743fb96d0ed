"""What the session's launcher builds on: processes and TCP connections of one guest, side by side."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys

import pytest
from guest.launches import PANIC

from labkit.errors import GuestError
from labkit.guest.capabilities import choose_linux
from labkit.guest.capture import run_and_capture
from labkit.guest.line import FrameType, decode_count
from labkit.guest.process import SpawnRequest
from labkit.guest.run import Guest
from labkit.guest.streams import Stream, join_socket

ECHO_SERVER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 5555))
while True:
    connection, _ = server.accept()
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.close()
"""


@pytest.fixture(scope="module")
def guest():
    with Guest.boot(choose_linux("uml")) as booted:
        yield booted


def spawn(guest, *argv):
    """Start a process; return its channel and the list of what is heard of it."""
    heard = []
    (channel,) = guest.new_channels(1)
    guest.spawn(channel, SpawnRequest(argv, dict(os.environ), "/", 0o022), heard.append)
    return channel, heard


def turn_until(guest, condition):
    while not condition():
        guest.turn(30)


def test_connections_wait_for_the_listener_and_carry_bytes_both_ways(guest):
    channel, heard = spawn(guest, sys.executable, "-I", "-S", "-c", ECHO_SERVER)
    opened = []
    data = os.urandom(400_000)
    number = guest.connect(5555, opened.append, attempts=500)
    turn_until(guest, lambda: opened)
    assert opened[0].type == FrameType.OPENED

    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    join_socket(guest.link, number, theirs)
    sent, received = 0, bytearray()
    while len(received) < len(data):
        with contextlib.suppress(BlockingIOError):
            sent += ours.send(data[sent : sent + 65536]) if sent < len(data) else 0
        guest.turn(1)
        with contextlib.suppress(BlockingIOError):
            received += ours.recv(65536)
    assert received == data
    ours.shutdown(socket.SHUT_WR)
    turn_until(guest, lambda: theirs.fileno() < 0)
    assert ours.recv(10) == b""
    ours.close()

    guest.send_signal(channel, signal.SIGTERM)
    turn_until(guest, lambda: heard[-1].type == FrameType.EXITED)
    assert os.WTERMSIG(decode_count(heard[-1].payload)) == signal.SIGTERM


def test_a_port_where_nobody_listens_is_refused(guest):
    answers = []
    guest.connect(5999, answers.append, attempts=2)
    turn_until(guest, lambda: answers)
    assert answers[0].type == FrameType.REFUSED
    assert b"refused" in answers[0].payload


def test_several_processes_run_at_once_and_end_by_themselves(guest):
    _, slow = spawn(guest, "sleep", "0.3")
    _, fast = spawn(guest, "true")
    turn_until(guest, lambda: fast[-1:] and fast[-1].type == FrameType.EXITED)
    turn_until(guest, lambda: slow[-1].type == FrameType.EXITED)


def test_a_reader_that_has_stopped_holds_up_no_other_process(guest):
    full_reader, full_writer = os.pipe()
    os.set_blocking(full_writer, False)
    process, output = guest.new_channels(2)
    stuck = Stream(guest.link, output, sink=full_writer, owned=True)
    heard = []
    request = SpawnRequest(("yes",), dict(os.environ), "/", 0o022, pipes={1: output})
    guest.spawn(process, request, heard.append)
    assert run_and_capture(guest, ("seq", "200000")).output.count(b"\n") == 200_000
    os.close(full_reader)
    turn_until(guest, lambda: heard[-1].type == FrameType.EXITED)
    assert os.WTERMSIG(decode_count(heard[-1].payload)) == signal.SIGPIPE
    assert not stuck.receiving


def test_what_the_guest_says_of_itself(guest):
    assert guest.info is not None
    assert (guest.info.kind, guest.info.cpus) == ("uml", 1)
    assert 400 < guest.info.memory_mb <= 512
    inside = run_and_capture(
        guest, (sys.executable, "-c", "from labkit.guest.info import current; print(current().lab)")
    )
    assert inside.output.decode().strip() == guest.name


def test_a_guest_that_has_ended_says_so_on_the_next_turn():
    with Guest.boot(choose_linux("uml"), memory_mb=128) as guest:
        spawn(guest, "sh", "-c", PANIC)
        with pytest.raises(GuestError, match="the guest ended") as error:
            turn_until(guest, lambda: False)
        assert "panic" in error.value.where
