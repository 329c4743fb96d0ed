"""The verbs as one command line of typer's."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from labkit import __version__
from labkit.cli.exec import STATUS_LABKIT_FAILED
from labkit.cli.main import Verb

HELP = "A lab network that forwards Kubernetes Services as kube-proxy does, on a Linux of its own."
# What typer raises for any error of usage; it has no public name for it.
_USAGE_ERROR: Any = typer.BadParameter.__base__
FOREIGN_COMMAND = {"allow_interspersed_args": False, "ignore_unknown_options": True}


def command_line(words: list[str], verbs: Mapping[str, Verb]) -> typer.Typer:
    """Return the command line that `words` need: one verb alone is imported, for a quick start."""
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help=HELP,
    )
    app.callback(invoke_without_command=True)(_version)
    named = [word for word in words[:1] if word in verbs]
    for name in named or verbs:
        verb = verbs[name]
        module, attribute = verb.function.split(":")
        function = getattr(importlib.import_module(module), attribute)
        if isinstance(function, typer.Typer):
            app.add_typer(function, name=name)
        else:
            settings = FOREIGN_COMMAND if verb.runs_a_command else None
            kind = _EndsLikeAnother if verb.ends_like_it else None
            app.command(name, cls=kind, context_settings=settings)(function)
    return app


class _EndsLikeAnother(TyperCommand):
    """A verb that ends with a foreign command's status: an error of usage is told from that."""

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        try:
            return super().make_context(*arguments, **settings)
        except _USAGE_ERROR as error:
            error.exit_code = STATUS_LABKIT_FAILED
            raise


def _version(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if version:
        typer.echo(f"labkit {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())
