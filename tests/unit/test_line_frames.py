"""The frames on the line, and the windows that keep it alive."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.guest.line import (
    FRAME_TYPES,
    LINE_WINDOW,
    Decoder,
    Frame,
    FrameType,
    GuestLine,
    HostLine,
    LineError,
    Window,
    encode_frame,
)

frames = st.builds(Frame, st.sampled_from(FRAME_TYPES), st.integers(0, 2**32 - 1), st.binary(max_size=300))


@given(st.lists(frames, max_size=8), st.data())
def test_frames_survive_any_split_of_their_bytes(sent, data):
    stream = b"".join(map(encode_frame, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    decoder = Decoder()
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += decoder.feed(stream[start:end])
    assert received == sent


@given(st.integers(max(FRAME_TYPES) + 1, 255), st.binary(min_size=8, max_size=30))
def test_bytes_that_are_no_frame_are_refused(type_, rest):
    with pytest.raises(LineError):
        Decoder().feed(bytes([type_]) + rest)


def test_a_payload_that_no_end_would_send_is_refused():
    with pytest.raises(LineError):
        Decoder().feed(bytes([FrameType.DATA]) + bytes(4) + b"\xff\xff\xff\xff")


@given(st.integers(1, 5000), st.lists(st.tuples(st.booleans(), st.integers(0, 3000)), max_size=50))
def test_a_window_never_lets_more_than_its_limit_under_way(limit, steps):
    window = Window(limit)
    underway = 0
    for sending, count in steps:
        if sending and count > limit - underway:
            with pytest.raises(LineError):
                window.sent(count)
        elif sending:
            window.sent(count)
            underway += count
        elif count > underway:
            with pytest.raises(LineError):
                window.taken(count)
        else:
            window.taken(count)
            underway -= count
        assert window.room == limit - underway


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_the_host_stops_at_the_window_until_the_guest_acknowledges(pair):
    ours, theirs = pair
    host = HostLine(ours.fileno())
    host.send(FrameType.DATA, 7, bytes(3 * LINE_WINDOW))
    theirs.setblocking(False)
    assert len(theirs.recv(100_000)) == LINE_WINDOW
    assert not host.wants_write

    theirs.send(encode_frame(Frame(FrameType.ACK, 0, LINE_WINDOW.to_bytes(4))))
    assert host.receive() == []
    assert len(theirs.recv(100_000)) == LINE_WINDOW


@given(st.lists(frames.filter(lambda frame: frame.type != FrameType.ACK), min_size=1, max_size=30))
def test_every_frame_crosses_the_line_however_many_windows_it_takes(sent):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        host, guest = HostLine(ours.fileno()), GuestLine(theirs.fileno())
        for frame in sent:
            host.send(frame.type, frame.channel, frame.payload)
        received = []
        while len(received) < len(sent):
            received += guest.receive()
            assert host.receive() == []
        assert received == sent


def test_the_far_end_s_death_is_told_apart_from_silence(pair):
    ours, theirs = pair
    host = HostLine(ours.fileno())
    assert host.receive() == []
    theirs.close()
    assert host.receive() is None


def test_sending_to_a_dead_far_end_is_no_error(pair):
    ours, theirs = pair
    host = HostLine(ours.fileno())
    theirs.close()
    host.send(FrameType.POWER_OFF, 0)
    assert not host.wants_write
    assert os.get_blocking(ours.fileno()) is False
