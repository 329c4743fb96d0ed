"""`labkit`: the command and its verbs."""

from __future__ import annotations

import sys

from labkit.errors import LabError
from labkit.record import Record


class Verb(Record):
    """Where a verb's function stands, and how it stands to a foreign command.

    One may follow its options; or its exit status is the foreign command's own.
    """

    function: str
    runs_a_command: bool = False
    ends_like_it: bool = False


VERBS = {
    "demo": Verb("labkit.cli.demo:demo"),
    "doctor": Verb("labkit.cli.doctor:doctor"),
    "exec": Verb("labkit.cli.exec:exec_", runs_a_command=True, ends_like_it=True),
    "shell": Verb("labkit.cli.shell:shell", ends_like_it=True),
    "attach": Verb("labkit.cli.attach:attach", runs_a_command=True),
    "trace": Verb("labkit.cli.trace:trace"),
    "render": Verb("labkit.cli.render:render"),
    "clab": Verb("labkit.cli.clab:clab"),
    "capture": Verb("labkit.cli.capture:app"),
    "bench": Verb("labkit.cli.bench:bench"),
    "sweep": Verb("labkit.cli.sweep:sweep"),
    "guest": Verb("labkit.cli.guest:app"),
    "session": Verb("labkit.cli.session:app"),
    "course": Verb("labkit.cli.course:app"),
}


def main() -> None:
    """Run the command line; a LabError becomes its own lines on stderr and its own exit status."""
    words = sys.argv[1:]
    try:
        if words[:1] == [
            "exec"
        ]:  # stands in scripts and loops: typer alone takes longer than a guest to boot
            from labkit.cli.exec import exec_

            exec_(words[1:])
        else:
            from labkit.cli.command_line import command_line

            command_line(words, VERBS)(prog_name="labkit")
    except LabError as error:
        sys.stderr.write("labkit: " + "\n".join(error.lines()) + "\n")
        sys.exit(error.exit_status)
