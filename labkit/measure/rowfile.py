"""What an experiment found, as rows: a value, a file of JSON lines, and that file's JSON Schema.

The first line of a file has what was asked; the others are rows, each with where and under which load it was
measured. What can be computed from the rows is not in it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from labkit.errors import RequestError
from labkit.measure.results import DIALECT, write_text
from labkit.measure.schema import decode, encode, json_schema

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

FORMAT = 1
Plan = TypeVar("Plan")
Row = TypeVar("Row")


@dataclass(frozen=True)
class ExperimentResult(Generic[Plan, Row]):
    """All rows of an experiment; `failures` say what could not be measured, and why.

    A kind of experiment is a subclass that names itself, its plan and its rows (dataclasses of what
    `schema.py` knows).
    """

    name: ClassVar[str]
    plan_kind: ClassVar[type[Any]]
    row_kind: ClassVar[type[Any]]

    plan: Plan
    rows: tuple[Row, ...]
    failures: tuple[str, ...] = field(default=())

    def write(self, path: Path) -> None:
        """Write the result as JSON lines, whole or not at all. RequestError where it cannot be written."""
        head = {"schema": FORMAT, "experiment": self.name, "plan": encode(self.plan)}
        head["failures"] = list(self.failures)
        lines = (json.dumps(one, allow_nan=False) for one in (head, *map(encode, self.rows)))
        write_text(path, "".join(line + "\n" for line in lines))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the result that `write` wrote. Raises RequestError for anything else, with its line."""
        try:
            head, *rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        except (OSError, ValueError) as error:
            raise cls._refusal(path, str(error)) from error
        if not isinstance(head, dict) or (head.get("schema"), head.get("experiment")) != (FORMAT, cls.name):
            raise cls._refusal(path, f"it does not begin with schema {FORMAT} of {cls.name}")
        return cls(
            decode(cls.plan_kind, head.get("plan"), f"{path.name}:1"),
            tuple(decode(cls.row_kind, row, f"{path.name}:{number}") for number, row in enumerate(rows, 2)),
            decode(tuple[str, ...], head.get("failures"), f"{path.name}:1"),
        )

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Return the JSON Schema of a line: the first one, or a row; published as NAME.schema.json."""
        head = {
            "type": "object",
            "properties": {
                "schema": {"const": FORMAT},
                "experiment": {"const": cls.name},
                "plan": json_schema(cls.plan_kind),
                "failures": json_schema(tuple[str, ...]),
            },
            "required": ["schema", "experiment", "plan", "failures"],
            "additionalProperties": False,
        }
        title = f"one line of a result of {cls.name}"
        return {"$schema": DIALECT, "title": title, "anyOf": [head, json_schema(cls.row_kind)]}

    @classmethod
    def _refusal(cls, path: Path, why: str) -> RequestError:
        return RequestError(
            f"{path.name} holds no result of {cls.name}: {why}", where=str(path), todo="measure it again"
        )
