"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

GuestOption = Annotated[
    str | None,
    typer.Option(help="Which Linux: auto, host, uml or a path. Default: LABKIT_GUEST, else auto."),
]
MemoryOption = Annotated[str, typer.Option(help="The guest's memory.")]
GuestTimeLimitOption = Annotated[
    str, typer.Option(metavar="SECONDS", help="With --virtual-time: end a run after so much guest time.")
]
WallTimeLimitOption = Annotated[
    str, typer.Option(metavar="SECONDS", help="With --virtual-time: end a run after so much real time.")
]
DEFAULT_MEMORY = "512M"
