"""`python -m labkit.session -f CONNECTION_FILE`: what the kernelspec starts."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from labkit.errors import LabError
from labkit.guest.run import DEFAULT_MEMORY_MB
from labkit.guest.wall import wall_here
from labkit.session.connection import read_connection
from labkit.session.enclosed import run_enclosed
from labkit.session.launcher import run_session


def main() -> int:
    """Run a session; an error is its own lines on stderr, where Jupyter's log shows it."""
    parser = argparse.ArgumentParser(
        prog="labkit.session", description="The Jupyter kernel in the lab's Linux."
    )
    parser.add_argument("-f", dest="connection_file", type=Path, required=True)
    asked = parser.parse_args()
    wall = wall_here(os.environ)
    try:
        if wall is not None:
            return run_enclosed(read_connection(asked.connection_file), wall, DEFAULT_MEMORY_MB)
        return run_session(read_connection(asked.connection_file), DEFAULT_MEMORY_MB)
    except LabError as error:
        sys.stderr.write("labkit: " + "\n".join(error.lines()) + "\n")
        return error.exit_status


if __name__ == "__main__":
    sys.exit(main())
