"""One processor of the host for a guest, and another one when that is taken.

User-Mode Linux is one flow of control that goes to and fro between processes: its kernel, and one for each
address space in it. Where processors idle, the host wakes each next one on another, idle processor, which
takes longer than most of what it then does there. So a guest stays on one: that on which the host has put
it. When it has to wait there while another one idles, it moves.
"""

from __future__ import annotations

import _socket
import contextlib
import os
import time
from pathlib import Path

from labkit.guest.syscalls import current_processor
from labkit.record import Record

SHORTEST_S, LONGEST_S = 0.2, 8.0  # between two looks at a guest that works, and at one that idles
_BUSY = 0.05  # of the time: less is an idle guest's
_WAITS = 0.1  # of the time: so much waiting is worth a move
_CLOSE_LOOK_S = 0.05  # /proc/stat counts in hundredths of a second
_IDLES = 0.5  # of the time: so much of a processor must be free


def stay_here() -> None:
    """Keep this process, and those that it starts, on the processor that it runs on."""
    try:
        os.sched_setaffinity(0, {current_processor()})
    except OSError:
        return  # it may be forbidden; then the host moves it about, and it is slower


class Times(Record):
    """Of a moment: seconds by the clock, that a guest ran and waited for a processor, that each was idle."""

    at_s: float
    ran_s: float
    waited_s: float
    idle_s: dict[int, float]


def choose_processor(before: Times, now: Times, current: int, allowed: frozenset[int]) -> int:
    """Return the processor on which a guest should be from now on: `current` unless a move is worth it."""
    took_s = now.at_s - before.at_s
    known = now.idle_s.keys() & before.idle_s.keys() & allowed - {current}
    others = {one: now.idle_s[one] - before.idle_s[one] for one in known}
    if took_s <= 0 or not others or now.waited_s - before.waited_s < _WAITS * took_s:
        return current
    best = max(others, key=lambda one: (others[one], -one))
    return best if others[best] >= _IDLES * took_s else current


class Placement:
    """Where a guest's processes run: `look` now and then, and they move when that is worth it."""

    def __init__(self, pid: int) -> None:
        """Watch the guest whose kernel is the process `pid`; it may use the processors of this process."""
        self._pid = pid
        self._allowed = frozenset(os.sched_getaffinity(0))
        self._pause_s = SHORTEST_S
        self._times: Times | None = None

    def look(self) -> float:
        """Move the guest where that is worth it; return after how many seconds to look again."""
        if len(self._allowed) == 1:
            return LONGEST_S
        try:
            before, self._times = self._times, _read_times(self._pid)
            if before is not None:
                self._settle(before, self._times)
        except (OSError, ValueError, IndexError):
            return LONGEST_S  # it has just ended, or this host does not tell
        return self._pause_s

    def _settle(self, before: Times, now: Times) -> None:
        is_busy = now.ran_s - before.ran_s > _BUSY * (now.at_s - before.at_s)
        self._pause_s = SHORTEST_S if is_busy else min(2 * self._pause_s, LONGEST_S)
        current, *more = os.sched_getaffinity(self._pid)
        if not more and choose_processor(before, now, current, self._allowed) != current:
            self._move(current)

    def _move(self, current: int) -> None:
        """Look again, closely, and move if it is still worth it: one guest of this user at a time.

        Two that wait for each other would else go to the same idle processor, and back, together.
        """
        with contextlib.closing(_socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)) as turn:
            try:
                turn.bind(f"\0labkit-processor-{os.getuid()}")
            except OSError:
                return  # another one's turn
            before = _read_times(self._pid)
            time.sleep(_CLOSE_LOOK_S)
            chosen = choose_processor(before, _read_times(self._pid), current, self._allowed)
            if chosen != current:
                for task in _tasks_below(self._pid):
                    os.sched_setaffinity(task, {chosen})


def _read_times(pid: int) -> Times:
    ran_ns = waited_ns = 0
    for task in _tasks_below(pid):
        ran, waited, _ = Path(f"/proc/{task}/schedstat").read_text().split()
        ran_ns, waited_ns = ran_ns + int(ran), waited_ns + int(waited)
    ticks = os.sysconf("SC_CLK_TCK")
    idle = {}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *numbers = line.split()
        if name.startswith("cpu") and name != "cpu":
            idle[int(name[3:])] = int(numbers[3]) / ticks
    return Times(time.monotonic(), ran_ns / 1e9, waited_ns / 1e9, idle)


def _tasks_below(pid: int) -> list[int]:
    """Return the threads of a process and of all that it started. Raises OSError where nobody tells."""
    tasks = []
    for task in sorted(int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()):
        children = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
        tasks += [task, *(below for child in children for below in _tasks_below(int(child)))]
    return tasks
