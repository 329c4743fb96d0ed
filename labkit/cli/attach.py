"""`labkit attach`: a terminal inside the guest of a running notebook or lab."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from labkit.cli.shell import user_shell


def attach(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LAB] [-- COMMAND ...]",
            help="The lab's name (not needed when one lab runs), and a command instead of a shell.",
        ),
    ] = None,
) -> None:
    """Open a terminal inside a running lab's Linux; it ends with its shell's (or command's) own status."""
    from labkit.guest.attach import AttachedLab, choose_lab, list_labs
    from labkit.guest.foreground import Command, end_like, run_in_foreground

    lab, argv = split_words(words or [], typed=sys.argv)
    with AttachedLab.open(choose_lab(lab, list_labs())) as running:
        outcome = run_in_foreground(running, Command(argv or user_shell()))
    end_like(outcome)


def split_words(words: Sequence[str], typed: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """Return the lab and the command in `words`. The parser drops a leading `--`; `typed` still has it."""
    if "--" in typed and typed[typed.index("--") - 1] == "attach":
        return None, tuple(words)
    lab = words[0] if words else None
    command = words[2:] if list(words[1:2]) == ["--"] else words[1:]
    return lab, tuple(command)
