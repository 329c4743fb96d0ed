"""`labkit`: the command and its verbs."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from labkit import __version__
from labkit.errors import LabError

HELP = "A lab network that forwards Kubernetes Services as kube-proxy does, on a Linux of its own."
FOREIGN_COMMAND = {"allow_interspersed_args": False, "ignore_unknown_options": True}


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a verb's function stands, and whether a foreign command follows its options."""

    function: str
    runs_a_command: bool = False


VERBS = {
    "demo": Verb("labkit.cli.demo:demo"),
    "doctor": Verb("labkit.cli.doctor:doctor"),
    "exec": Verb("labkit.cli.exec:exec_", runs_a_command=True),
    "shell": Verb("labkit.cli.shell:shell"),
    "attach": Verb("labkit.cli.attach:attach", runs_a_command=True),
    "render": Verb("labkit.cli.render:render"),
    "bench": Verb("labkit.cli.bench:bench"),
    "guest": Verb("labkit.cli.guest:app"),
    "session": Verb("labkit.cli.session:app"),
    "course": Verb("labkit.cli.course:app"),
}


def command_line(words: list[str]) -> typer.Typer:
    """Return the command line that `words` need: one verb alone is imported, for a quick start."""
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help=HELP,
    )
    app.callback(invoke_without_command=True)(_version)
    named = [word for word in words[:1] if word in VERBS]
    for name in named or VERBS:
        verb = VERBS[name]
        module, attribute = verb.function.split(":")
        function = getattr(importlib.import_module(module), attribute)
        if isinstance(function, typer.Typer):
            app.add_typer(function, name=name)
        else:
            app.command(name, context_settings=FOREIGN_COMMAND if verb.runs_a_command else None)(function)
    return app


def _version(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if version:
        typer.echo(f"labkit {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line; a LabError becomes its own lines on stderr and its own exit status."""
    try:
        command_line(sys.argv[1:])(prog_name="labkit")
    except LabError as error:
        sys.stderr.write("labkit: " + "\n".join(error.lines()) + "\n")
        sys.exit(error.exit_status)
