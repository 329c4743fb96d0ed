"""Streams over the line: a file at one end, a file at the other."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.guest.line import CHANNEL_WINDOW, GuestLine, HostLine
from labkit.guest.loop import Loop
from labkit.guest.streams import Link, Stream


class Ends:
    """A host's and a guest's link over one line, driven by one loop."""

    def __init__(self, stack: ExitStack) -> None:
        ours, theirs = (stack.enter_context(end) for end in socket.socketpair())
        self.loop = Loop()
        self.host = Link(HostLine(ours.fileno()), self.loop)
        self.guest = Link(GuestLine(theirs.fileno()), self.loop)

    def turn_until(self, condition) -> None:
        for _ in range(200_000):
            if condition():
                return
            self.loop.turn(1)
        pytest.fail("the loop never got there")

    def settle(self) -> None:
        """Turn until nothing happens any more."""
        ready = [True]
        while ready[0]:
            ready[0] = bool(self.loop._poll.poll(0))
            if ready[0]:
                self.loop.turn(0)


@pytest.fixture
def ends():
    with ExitStack() as stack:
        yield Ends(stack)


def pipe(blocking=False):
    reader, writer = os.pipe()
    os.set_blocking(reader, blocking)
    os.set_blocking(writer, blocking)
    return reader, writer


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data) :]


@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=60_000))
def test_bytes_arrive_as_they_were_sent_and_end(data):
    with ExitStack() as stack:
        ends = Ends(stack)
        source, writer = pipe()
        result, sink = pipe()
        stream = Stream(ends.host, 5, source=source, owned=True)
        Stream(ends.guest, 5, sink=sink, owned=True)
        write_all(writer, data)
        os.close(writer)
        arrived = bytearray()

        def read():
            try:
                piece = os.read(result, 65536)
            except BlockingIOError:
                return False
            arrived.extend(piece)
            return not piece

        ends.turn_until(read)
        os.close(result)
        assert arrived == data
        assert not stream.sending


def test_a_reader_that_stops_holds_up_its_own_channel_and_no_other(ends):
    stuck_reader, stuck_sink = pipe()
    result, sink = pipe()
    stuck_source, stuck_writer = pipe()
    source, writer = pipe()
    Stream(ends.host, 1, source=stuck_source, owned=True)
    Stream(ends.guest, 1, sink=stuck_sink, owned=True)
    Stream(ends.host, 2, source=source, owned=True)
    Stream(ends.guest, 2, sink=sink, owned=True)
    sent = 0
    for _ in range(100):
        try:
            sent += os.write(stuck_writer, bytes(4096))
        except BlockingIOError:
            ends.settle()
            if sent > CHANNEL_WINDOW + 70_000:
                break
    os.write(writer, b"past it")
    ends.settle()
    assert os.read(result, 100) == b"past it"
    for fd in (stuck_reader, result, stuck_writer, writer):
        os.close(fd)
    for link in (ends.host, ends.guest):
        for stream in list(link._streams.values()):
            stream.close()


def test_what_a_process_left_behind_arrives_whole_although_the_window_is_full(ends, tmp_path):
    """Its writer has exited with more unread than may be under way at a time."""
    data = bytes(range(256)) * (3 * CHANNEL_WINDOW // 256)
    file = tmp_path / "left"
    file.write_bytes(data)
    result, sink = pipe()
    Stream(ends.host, 4, sink=sink, owned=True)
    stream = Stream(ends.guest, 4, source=os.open(file, os.O_RDONLY), owned=True)
    stream.end_when_empty()
    arrived = bytearray()

    def read():
        try:
            piece = os.read(result, 65536)
        except BlockingIOError:
            return False
        arrived.extend(piece)
        return not piece

    ends.turn_until(read)
    os.close(result)
    assert arrived == data
    assert not stream.sending


def test_a_closed_reader_closes_the_source_at_the_far_end(ends):
    source, writer = pipe()
    reader, sink = pipe()
    stream = Stream(ends.guest, 3, source=source, owned=True)
    Stream(ends.host, 3, sink=sink, owned=True)
    os.close(reader)
    os.write(writer, b"nobody reads this")
    ends.turn_until(lambda: not stream.sending)
    with pytest.raises(BrokenPipeError):
        os.write(writer, b"x")
    os.close(writer)


def test_what_a_process_left_behind_is_sent_though_its_children_keep_the_pipe(ends):
    source, kept_open = pipe()
    result, sink = pipe()
    stream = Stream(ends.guest, 3, source=source, owned=True)
    Stream(ends.host, 3, sink=sink, owned=True)
    os.write(kept_open, b"last words")
    stream.end_when_empty()
    ends.turn_until(lambda: not stream.sending)
    ends.settle()
    assert os.read(result, 100) == b"last words"
    assert os.read(result, 100) == b""
    os.close(kept_open)
    os.close(result)
