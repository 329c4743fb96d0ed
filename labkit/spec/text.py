"""A manifest that is no file. On its own, because whoever hands one on need not import what reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A manifest that is no file; `name` stands for the file's name in places."""

    name: str
    text: str
