"""As much of HTTP/1.x (RFC 9112) as pods and measured clients speak."""

from __future__ import annotations

import re

_BODY_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,12})", re.IGNORECASE)
_WANTS_CLOSE = re.compile(rb"^[^\r]* HTTP/1\.0\r|\r\nconnection: *close", re.IGNORECASE)


def request_length(data: bytes) -> int:
    """Return the length of the whole HTTP request that `data` starts with, 0 if it is not whole yet."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return 0
    announced = _BODY_LENGTH.search(data, 0, head)
    length = head + 4 + (int(announced[1]) if announced else 0)
    return length if length <= len(data) else 0


def wants_close(request: bytes) -> bool:
    """Whether the server is to close after this request: HTTP/1.0, or `Connection: close` (RFC 9112, 9.3)."""
    return _WANTS_CLOSE.search(request) is not None


def http_response(line: bytes, request: bytes) -> bytes:
    """Return `200 OK` with `line` as its body; a HEAD request gets the head alone."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(line)
    return head if request.startswith(b"HEAD ") else head + line


def whole_body(data: bytes, *, ended: bool) -> bytes | None:
    """Return the body of a whole HTTP response, or whatever else has ended; None if more is to come."""
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return data if ended and data else None
    announced = _BODY_LENGTH.search(head)
    if announced is None:
        return body if ended else None
    return body if len(body) >= int(announced[1]) else None
