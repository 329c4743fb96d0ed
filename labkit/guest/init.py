"""The first program of the guest: makes a usable Linux of a bare one, then becomes the agent.

The guest (or, for the host backend, the keeper) runs this file with the launcher's own Python, isolated
from site-packages: `python -I -S init.py SETTINGS LINE`, a file of settings and a tty's path or a descriptor.
"""

from __future__ import annotations

import marshal
import os
import sys

if __name__ == "__main__":
    # At the end: most that is imported is Python's own.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))

from labkit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.guest.clock import Clock


class Settings(Record):
    """What init is told. `private_directories` are under /run, and made again on the guest's empty one.

    `clock` is the one that was asked for; after `guest_limit_s` by it (None: never) the agent gives up.
    """

    kind: str
    lab: str
    modules: str
    private_directories: tuple[str, ...] = ()
    user_namespace: bool = False
    clock: Clock = "real"
    guest_limit_s: float | None = None
    host_cpus: int = 1

    def to_bytes(self) -> bytes:
        """Return the settings as `read` reads them, by this same Python: `json` would be one more import."""
        return marshal.dumps(self._asdict())

    @classmethod
    def read(cls, path: str) -> Settings:
        """Return the settings in a file."""
        with open(path, "rb") as file:
            return cls(**marshal.load(file))  # noqa: S302 - the launcher's


def main(settings_path: str, line: str) -> None:
    """Set the system up and run the agent until its work is done."""
    from labkit.guest import setup
    from labkit.guest.agent import Agent

    settings = Settings.read(settings_path)
    if settings.kind == "uml":
        setup.set_up_uml(settings.modules)
        line_fd = setup.open_serial_line(line)
    else:
        setup.set_up_namespaces(in_user_namespace=settings.user_namespace)
        line_fd = int(line)
        os.set_inheritable(line_fd, False)  # noqa: FBT003 - it takes no keyword
    clock = _take_clock() if settings.clock == "virtual" else "real"
    info = setup.set_up_lab(
        settings.kind, settings.lab, clock, settings.host_cpus, settings.private_directories
    )
    Agent(line_fd, info, settings.guest_limit_s).run()
    if settings.kind == "uml":
        os.sync()
        setup.power_off()


def _take_clock() -> Clock:
    """Return the clock that this Linux turns out to have, ready for use."""
    from labkit.guest.clock import read_clock, settle_clock

    clock = read_clock()
    if clock == "virtual":
        settle_clock()
    return clock


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
