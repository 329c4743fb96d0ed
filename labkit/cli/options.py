"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

GuestOption = Annotated[
    str | None,
    typer.Option(help="Which Linux: auto, host, uml or a path. Default: LABKIT_GUEST, else auto."),
]
MemoryOption = Annotated[str, typer.Option(help="The guest's memory.")]
DEFAULT_MEMORY = "512M"
