"""Jobs that are wanted from inside a guest: its launcher starts their hosts beside it.

So a notebook whose own Python runs in a guest can run experiments in fresh ones. The launcher only connects
the two: request and reply pass over the guest's line as the bytes of one channel.
"""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING

from labkit.guest.jobhosts import host_command
from labkit.guest.streams import join_socket

if TYPE_CHECKING:
    from labkit.guest.run import Guest

FROM_GUEST = "from-guest"


class JobServer:
    """Starts a host for each job that a process in `guest` asks for; they end with the guest's line.

    Of `most` hosts at a time, another job is turned away.
    """

    def __init__(self, guest: Guest, most: int | None = None) -> None:
        self._guest = guest
        self._most = most
        self._hosts: list[subprocess.Popen[bytes]] = []
        guest.on_call = self._start

    def _start(self, channel: int) -> None:
        self._hosts = [host for host in self._hosts if host.poll() is None]
        if self._most is not None and len(self._hosts) >= self._most:
            self._guest.refuse_call(channel)
            return
        ours, theirs = socket.socketpair()
        with theirs:
            self._hosts.append(
                subprocess.Popen(
                    host_command(FROM_GUEST),
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
        ours.setblocking(False)  # noqa: FBT003 - it takes no keyword
        join_socket(self._guest.link, channel, ours)
