"""What pods answer, and how HTTP is told apart from the rest."""

import pytest

from labkit.traffic.answer import answer_line, answer_start, flow_id, read_answer
from labkit.traffic.http1 import http_response, request_length, wants_close, whole_body

GET = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n"


def test_a_line_says_who_answered_and_whom_it_saw():
    line = answer_line(answer_start("shop/web-1", "node-1", "10.244.0.3:8080"), ("10.244.0.128", 10417))
    assert line == b"pod=shop/web-1 node=node-1 address=10.244.0.3:8080 peer=10.244.0.128:10417\n"
    answer = read_answer(line)
    assert (answer.pod, answer.peer, answer.flow) == ("shop/web-1", "10.244.0.128:10417", "")


@pytest.mark.parametrize("body", [b"", b"hello", b"pod=a/b", b"\xff\xfe", b"<html>node=1</html>"])
def test_other_servers_answers_are_not_taken_for_ours(body):
    assert read_answer(body) is None


@pytest.mark.parametrize(
    ("datagram", "word"),
    [(b"17\n", b"17"), (b"", b""), (b"  \n", b""), (b"hello you", b"hello"), (b"x" * 99, b"x" * 64)],
)
def test_the_flow_is_a_datagrams_first_word(datagram, word):
    assert flow_id(datagram) == word


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"", 0),
        (GET[:-1], 0),
        (GET, len(GET)),
        (GET + GET, len(GET)),
        (b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhell", 0),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 43),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nhello", 0),
    ],
)
def test_a_request_ends_with_its_body(data, length):
    assert request_length(data) == length


def test_only_old_clients_and_those_who_ask_are_closed_on():
    assert wants_close(b"GET / HTTP/1.0\r\n\r\n")
    assert wants_close(b"GET / HTTP/1.1\r\nconnection: Close\r\n\r\n")
    assert not wants_close(GET)
    assert not wants_close(b"GET /HTTP/1.0 HTTP/1.1\r\n\r\n")


def test_a_response_is_whole_when_its_length_is_there():
    response = http_response(b"pod=a\n", GET)
    assert whole_body(response, ended=False) == b"pod=a\n"
    assert whole_body(response[:-1], ended=False) is None
    assert whole_body(response[:10], ended=False) is None
    assert whole_body(b"HTTP/1.1 200 OK\r\n\r\nx", ended=False) is None
    assert whole_body(b"HTTP/1.1 200 OK\r\n\r\nx", ended=True) == b"x"
    assert whole_body(b"no http", ended=True) == b"no http"
    assert whole_body(b"", ended=True) is None


def test_head_gets_no_body():
    assert http_response(b"pod=a\n", b"HEAD / HTTP/1.1\r\n\r\n").endswith(b"Content-Length: 6\r\n\r\n")
