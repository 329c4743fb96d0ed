"""One question of a row, asked: a socket that connects, and what has come of it."""

from __future__ import annotations

import errno
import itertools
import socket
import struct

from flows.responders import KINDS

from labkit.traffic.answer import Answer, read_answer
from labkit.traffic.ports import bind_source

IP_RECVERR = 11
ANY = "0.0.0.0"
ORIGIN_ICMP = 2
_EXTENDED_ERROR = struct.Struct("=IBBBB")  # linux/errqueue.h: errno, origin, type, code
_UNREACHABLE_PORT = (3, 3)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_flows = itertools.count()


def source_towards(target: tuple[str, int], source: str = ANY) -> str:
    """Return `source`, or which address this namespace would choose where that is any."""
    if source != ANY:
        return source
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(target)
        return str(asker.getsockname()[0])


class Question:
    """A connection, or a datagram, on its way to `target`; made in the thread of the asker's namespace."""

    def __init__(self, protocol: str, source: str, target: tuple[str, int], port: int = 0) -> None:
        self.protocol = protocol
        self.flow = f"q{next(_flows)}"
        self.socket = socket.socket(socket.AF_INET, *KINDS[protocol])
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # SCTP would tell its peer all addresses of a node, and NAT knows nothing of such lists.
        own = source_towards(target, source) if protocol == "SCTP" else source
        if port:
            self.socket.bind((own, port))
        else:
            bind_source(self.socket, own)
        self.refusal = ""
        self.forbidden = False
        try:
            self.socket.connect(target)
            if protocol == "UDP":
                self.socket.send(self.flow.encode())
        except BlockingIOError:
            pass
        except (
            PermissionError
        ):  # the node's own rules stopped it: if they told why, it is in the queue of errors
            self.forbidden = True
        except OSError as error:
            self.refusal = self._refused(error)
        self.own = self.socket.getsockname()[0]

    def outcome(self) -> Answer | str:
        """Return the answer, how it was refused, or "" if nothing has come yet."""
        try:
            data = self.socket.recv(1024)
        except BlockingIOError:
            # An ICMP error that comes while connect() still holds the socket ends nothing: TCP tries again a
            # second later. The queue of errors has it at once.
            return self._icmp_error()
        except OSError as error:
            return self._refused(error)
        return read_answer(data) or ("reset" if not data else f"unknown answer {data!r}")

    def close(self) -> None:
        """Close so that no state waits for its end anywhere."""
        if self.protocol != "UDP":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.socket.close()

    def _refused(self, error: OSError) -> str:
        if error.errno in {errno.EPERM, errno.EINVAL}:
            # The asker's own node has stopped it: whether anybody tells, the queue of errors says.
            return self._icmp_error()
        if error.errno not in {errno.ECONNREFUSED, errno.ECONNRESET}:
            return errno.errorcode[error.errno or 0]
        return self._icmp_error() or "reset"

    def _icmp_error(self) -> str:
        """Return which ICMP error has come, "" if none has."""
        try:
            _, ancillary, _, _ = self.socket.recvmsg(1024, 512, socket.MSG_ERRQUEUE)
        except OSError:
            return ""
        for level, kind, data in ancillary:
            if (level, kind) == (socket.IPPROTO_IP, IP_RECVERR):
                _, origin, *message, _ = _EXTENDED_ERROR.unpack_from(data)
                if origin == ORIGIN_ICMP:
                    return "reject" if tuple(message) == _UNREACHABLE_PORT else f"ICMP {message}"
        return ""
