# SPDX-License-Identifier: GPL-2.0-only
"""What can go wrong here, in words a user can act on."""

from __future__ import annotations


class Problem(Exception):  # noqa: N818 - the caller makes it an error of its own
    """What happened (`message`), where, and what to do; `missing` when this machine lacks something."""

    def __init__(self, message: str, *, where: str = "", todo: str = "", missing: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.todo = todo
        self.missing = missing
