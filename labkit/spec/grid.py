"""GRID.yaml -> Grid: the axes of a sweep, each value checked, every mistake with its place.

What a workload, a shaping and an event are is not said here: the fields are those of the dataclasses that
the reader is given, and so are their types, defaults and bounds.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, field, fields
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, create_model

from labkit.errors import LabError, SpecError
from labkit.spec.cluster import load_manifests
from labkit.spec.documents import Document, Findings, Place, read_documents
from labkit.spec.fields import Fields, Many, refusal
from labkit.spec.schedulers import SCHEDULERS
from labkit.spec.wording import dotted, nearest, shown, worded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.spec.text import Text

MODES = ("iptables", "nftables", "ipvs")
MOST_CELLS = 100_000
MOST_SEEDS = 10_000
_RANGE = re.compile(r"(\d{1,9})-(\d{1,9})")
UNNAMED = "plain"  # the one value of an axis that the grid does not have


@dataclass(frozen=True, slots=True)
class GridKinds:
    """The dataclasses that the values of a grid's axes are made of."""

    workload: type[Any]
    shaping: type[Any]
    event: type[Any]


@dataclass(frozen=True, slots=True)
class GridLab:
    """A cluster of a grid: its manifests, whole, under the name that rows call it by."""

    name: str
    manifests: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class GridAlgorithm:
    """A mode, and in IPVS mode its scheduler ("" in the others)."""

    mode: str
    scheduler: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """The axes: a sweep measures every combination of their values.

    `workloads` hold values of the workload's kind, `shapings` those of the shaping's by pod, client or node,
    `outages` tuples of events.
    """

    labs: tuple[GridLab, ...]
    service: str
    algorithms: tuple[GridAlgorithm, ...]
    workloads: Mapping[str, Any]
    shapings: Mapping[str, Mapping[str, Any]]
    outages: Mapping[str, tuple[Any, ...]]
    seeds: tuple[int, ...]
    clock: Literal["real", "virtual"]
    document: Document = field(repr=False, compare=False)

    def __len__(self) -> int:
        axes = (self.labs, self.algorithms, self.workloads, self.shapings, self.outages, self.seeds)
        return prod(map(len, axes))

    def place(self, *path: str | int) -> Place:
        """Return where the value at `path` stands in the file."""
        return self.document.place(*path)


class _Block(Fields):
    model_config = ConfigDict(extra="forbid", alias_generator=None)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _seeds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _RANGE.fullmatch(value)
    if found is None or not int(found[1]) <= int(found[2]) < int(found[1]) + MOST_SEEDS:
        raise refusal(
            f"{value!r} is no range of seeds", f"write 1-20, of at most {MOST_SEEDS}, or a list: [1, 2]"
        )
    return list(range(int(found[1]), int(found[2]) + 1))


def _algorithm(value: Any) -> Any:
    if isinstance(value, str) and value not in {*MODES, *SCHEDULERS}:
        known = (*MODES, *SCHEDULERS)
        meant = nearest(value, known)
        hint = f"did you mean {meant}? " if meant else ""
        raise refusal(f"no algorithm is called {value!r}", f"{hint}there are: {', '.join(known)}")
    return value


_Manifests = Annotated[Many[str], BeforeValidator(_listed), Field(min_length=1)]
_Seed = Annotated[int, Field(ge=0)]


class _Grid(_Block):
    labs: Annotated[Many[_Manifests], BeforeValidator(_listed), Field(min_length=1)]
    algorithms: Annotated[
        Many[Annotated[str, BeforeValidator(_algorithm)]], BeforeValidator(_listed), Field(min_length=1)
    ]
    service: str = ""
    seeds: Annotated[Many[_Seed], BeforeValidator(_seeds), Field(min_length=1)] = (1,)
    clock: Literal["real", "virtual"] = "virtual"
    workloads: dict[str, Any]
    shapings: dict[str, Any]
    outages: dict[str, Any]


def read_grid(source: Path | Text, kinds: GridKinds) -> Grid:
    """Return the grid that a file describes. Raises SpecError with every mistake of it and its manifests."""
    findings = Findings()
    documents = read_documents([source], findings)
    for more in documents[1:]:
        findings.mistake(more.place(), "a second document", "a file holds one grid")
    made = _validated(documents[0], kinds, findings) if documents else None
    grid = _grid(made, documents[0], kinds, findings) if made is not None else None
    findings.raise_mistakes()
    if grid is None:  # pragma: no cover - every way to None has found a mistake
        raise SpecError([])
    return grid


def _validated(document: Document, kinds: GridKinds, findings: Findings) -> Any:
    """Return the grid's values as they are written, None after a mistake in their form."""
    if not isinstance(document.value, dict):
        findings.mistake(document.place(), f"a grid is a mapping, not {shown(document.value)}")
        return None
    model = _model(kinds)
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            path = details["loc"]
            if details["type"] == "extra_forbidden":
                todo = _suggestion(model, path)
                findings.mistake(document.key_place(*path), f"a grid has no field {dotted(path)}", todo)
            elif details["type"] == "missing":
                findings.mistake(document.place(*path), f"{dotted(path)} is missing", "write it")
            else:
                findings.mistake(document.place(*path), *worded(details))
        return None


def _model(kinds: GridKinds) -> type[_Block]:
    axis = Field(min_length=1)
    workload, shaping, event = map(_block_of, (kinds.workload, kinds.shaping, kinds.event))
    axes: dict[str, Any] = {
        "workloads": (Annotated[dict[str, workload], axis], ...),  # type: ignore[valid-type]
        "shapings": (Annotated[dict[str, dict[str, shaping]], axis], {UNNAMED: {}}),  # type: ignore[valid-type]
        "outages": (Annotated[dict[str, Many[event]], axis], {UNNAMED: ()}),  # type: ignore[valid-type]
    }
    made: type[_Block] = create_model("Grid", __base__=_Grid, **axes)
    return made


def _block_of(kind: type[Any]) -> type[_Block]:
    """Return the block with a dataclass' fields; what is not written is left to the dataclass itself."""
    hints = get_type_hints(kind)
    given: dict[str, Any] = {}
    for one in fields(kind):
        needed = one.default is MISSING and one.default_factory is MISSING
        given[one.name] = (hints[one.name], ... if needed else None)
    made: type[_Block] = create_model(kind.__name__, __base__=_Block, **given)
    return made


def _suggestion(model: type[_Block], path: tuple[str | int, ...]) -> str:
    block: Any = model
    for step in path[:-1]:
        block = _inner(block, step)
    names = list(block.model_fields) if isinstance(block, type) and issubclass(block, _Block) else []
    meant = nearest(str(path[-1]), names)
    return f"did you mean {meant}?" if meant else f"there are: {', '.join(names)}"


def _inner(block: Any, step: str | int) -> Any:
    """Return the model below `step`: a field's, a mapping's values', a list's items'."""
    if isinstance(block, type) and issubclass(block, _Block):
        return block.model_fields[str(step)].annotation
    arguments = get_args(block)
    return arguments[0 if isinstance(step, int) else len(arguments) - 1]


def _grid(made: Any, document: Document, kinds: GridKinds, findings: Findings) -> Grid | None:
    for axis in ("labs", "algorithms", "seeds"):
        _refuse_twins(getattr(made, axis), document, axis, findings)
    maker = _Maker(document, findings)
    grid = Grid(
        labs=tuple(_labs(made.labs, document, findings)),
        service=made.service,
        algorithms=tuple(map(_algorithm_of, made.algorithms)),
        workloads={
            name: maker.make(kinds.workload, block, "workloads", name)
            for name, block in made.workloads.items()
        },
        shapings={
            name: {who: maker.make(kinds.shaping, one, "shapings", name, who) for who, one in block.items()}
            for name, block in made.shapings.items()
        },
        outages={
            name: tuple(maker.make(kinds.event, one, "outages", name, at) for at, one in enumerate(events))
            for name, events in made.outages.items()
        },
        seeds=made.seeds,
        clock=made.clock,
        document=document,
    )
    if len(grid) > MOST_CELLS:
        findings.mistake(
            document.place(), f"{len(grid):,} experiments are too many", f"{MOST_CELLS:,} are the most"
        )
    return grid


@dataclass(frozen=True, slots=True)
class _Maker:
    document: Document
    findings: Findings

    def make(self, kind: type[Any], block: _Block, *path: str | int) -> Any:
        """Return a value of `kind`; what it refuses is a mistake at `path`, or at the field it names."""
        written = {name: getattr(block, name) for name in block.model_fields_set}
        try:
            return kind(**written)
        except LabError as error:
            named = next((name for name in written if error.message.startswith(name)), None)
            place = self.document.place(*path, *([named] if named else []))
            self.findings.mistake(place, f"{dotted(path)}: {error.message}", error.todo)
            return None


def _labs(given: Sequence[tuple[str, ...]], document: Document, findings: Findings) -> Iterator[GridLab]:
    folder = Path(document.source.name).parent  # files are named from where the grid stands
    for at, names in enumerate(given):
        try:
            yield GridLab(" ".join(names), load_manifests([_found(name, folder) for name in names]))
        except SpecError as error:
            for mistake in error.mistakes:
                findings.mistake(
                    document.place("labs", at), f"{mistake.place}: {mistake.message}", mistake.todo
                )
        except LabError as error:
            findings.mistake(document.place("labs", at), error.message, error.todo)


def _found(name: str, folder: Path) -> str | Path:
    beside = folder / name
    return beside if Path(name).suffix and not Path(name).is_absolute() else name


def _algorithm_of(name: str) -> GridAlgorithm:
    if name in SCHEDULERS:
        return GridAlgorithm("ipvs", name)
    return GridAlgorithm(name, "rr" if name == "ipvs" else "")


def _refuse_twins(values: Sequence[Any], document: Document, axis: str, findings: Findings) -> None:
    seen: set[Any] = set()
    for at, value in enumerate(values):
        said = _algorithm_of(value) if axis == "algorithms" else value
        if said in seen:
            written = document.value.get(axis)
            place = document.place(axis, at) if isinstance(written, list) else document.place(axis)
            findings.mistake(place, f"{dotted((axis, at))} is there already", "each value once")
        seen.add(said)
