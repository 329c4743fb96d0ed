"""Manifests -> objects: what kind each document is, whether it is well made, and where it stands.

Every mistake of every source is collected; kinds that the lab does not know are counted and named once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import ValidationError

from labkit.errors import RequestError
from labkit.spec.documents import Document, Findings, Place, read_documents
from labkit.spec.kinds import KINDS
from labkit.spec.objects import Object
from labkit.spec.spelling import misspelt_fields
from labkit.spec.text import Text
from labkit.spec.wording import dotted, nearest, shown, worded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

_LAB_GROUPS = frozenset(["", "apps", "extensions", "discovery.k8s.io", "networking.k8s.io"])
Made_co = TypeVar("Made_co", bound=Object, covariant=True)


@dataclass(frozen=True, slots=True)
class Item(Generic[Made_co]):
    """One object of a manifest and the document it was read from."""

    object: Made_co
    document: Document = field(repr=False)

    @property
    def kind(self) -> str:
        """The object's kind."""
        return type(self.object).__name__

    @property
    def name(self) -> str:
        """The object's name."""
        return self.object.metadata.name

    @property
    def namespace(self) -> str:
        """The object's namespace."""
        return self.object.metadata.namespace

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    def place(self, *path: str | int) -> Place:
        """Return where the value at `path` of the object stands."""
        return self.document.place(*path)


def read_objects(sources: Sequence[Path | Text], findings: Findings) -> list[Item[Object]]:
    """Return the objects of all sources in order, each of a known kind and valid by itself.

    What is wrong goes to `findings`: unreadable text, missing, wrong and misspelt fields, twins.
    Objects with mistakes are left out.
    """
    items: list[Item[Object]] = []
    ignored: Counter[str] = Counter()
    first_ignored: list[Place] = []
    for document in read_documents(sources, findings):
        for part in _flattened(document, findings):
            kind = _kind(part, findings)
            if kind in KINDS:
                items += _item(KINDS[kind], part, findings)
            elif kind:
                ignored[kind] += 1
                first_ignored = first_ignored or [part.place()]
    if ignored:
        listed = ", ".join(f"{count} {kind}" for kind, count in ignored.items())
        findings.warn(first_ignored[0], f"ignored, they mean nothing to the lab: {listed}")
    return _without_twins(items, findings)


def shipped_labs() -> tuple[str, ...]:
    """Return the names of the labs that come with labkit."""
    folder = resources.files("labkit") / "labs"
    return tuple(
        sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    )


def shipped_lab(name: str) -> Text:
    """Return the manifest of a lab that comes with labkit.

    Raises:
        RequestError: if there is none of that name.

    """
    labs = shipped_labs()
    if name not in labs:
        meant = nearest(name, labs, 0.6)
        todo = (
            f"did you mean {meant}? there are: {', '.join(labs)}"
            if meant
            else f"there are: {', '.join(labs)}"
        )
        raise RequestError(f"no lab {name!r} comes with labkit", todo=todo)
    file = resources.files("labkit") / "labs" / f"{name}.yaml"
    return Text(f"{name}.yaml", file.read_text(encoding="utf-8"))


def _flattened(document: Document, findings: Findings) -> Iterator[Document]:
    """Yield the document itself, or the items of a `List` (or `ServiceList` and the like)."""
    value = document.value
    if not isinstance(value, dict):
        findings.mistake(
            document.place(),
            f"a Kubernetes object is a mapping, not {shown(value)}",
            "start with apiVersion: and kind:",
        )
        return
    kind = value.get("kind")
    if not (isinstance(kind, str) and kind.endswith("List") and "items" in value):
        yield document
        return
    items = value["items"] or []
    if not isinstance(items, list):
        findings.mistake(document.place("items"), f"items must be a list, not {shown(items)}")
        return
    for index, item in enumerate(items):
        part = _typed_item(value, item)
        yield from _flattened(document.item("items", index, part), findings)


def _typed_item(value: dict[str, Any], item: Any) -> Any:
    """Return an item with the kind that a `ServiceList` leaves to its own name."""
    kind = value["kind"].removesuffix("List")
    if kind and isinstance(item, dict) and "kind" not in item:
        return {"apiVersion": value.get("apiVersion"), "kind": kind, **item}
    return item


def _kind(document: Document, findings: Findings) -> str:
    """Return the document's kind: one of KINDS, a name for what is ignored, or "" after a mistake."""
    value = document.value
    for key in ("apiVersion", "kind"):
        if not isinstance(value.get(key), str) or not value[key]:
            wrong = f"{key} must be text, not {shown(value[key])}" if value.get(key) else f"{key} is missing"
            findings.mistake(document.place(key), wrong, "every object starts with apiVersion and kind")
            return ""
    kind, version = str(value["kind"]), str(value["apiVersion"])
    group = version.rpartition("/")[0]
    if group not in _LAB_GROUPS:
        return f"{kind}.{group}" if kind in KINDS else kind
    if kind not in KINDS:
        meant = nearest(kind, KINDS, 0.85)
        if meant:
            findings.mistake(
                document.place("kind"), f"kind {kind!r} does not exist", f"did you mean {meant}?"
            )
        return "" if meant else kind
    wanted = KINDS[kind].api_version_read
    if version != wanted:
        findings.mistake(
            document.place("apiVersion"), f"no {kind} in {version!r}", f"write apiVersion: {wanted}"
        )
        return ""
    return kind


def _item(model: type[Object], document: Document, findings: Findings) -> list[Item[Object]]:
    misspelt = misspelt_fields(model, document.value)
    for path, meant in misspelt:
        findings.mistake(
            document.key_place(*path), f"{dotted(path)} does not exist", f"did you mean {meant}?"
        )
    try:
        made = model.model_validate(document.value)
    except ValidationError as error:
        meant_paths = {(*path[:-1], meant) for path, meant in misspelt}
        for details in _causes(error):
            if details["loc"] not in meant_paths:
                findings.mistake(document.place(*details["loc"]), *worded(details))
        findings.broken.add((model.__name__, _name(document.value)))
        return []
    return [] if misspelt else [Item(made, document)]


def _causes(error: ValidationError) -> list[ErrorDetails]:
    """Return what is wrong; a list is not "empty" only because everything in it is wrong."""
    found = error.errors(include_url=False)
    paths = [details["loc"] for details in found]
    return [
        details
        for details in found
        if details["type"] != "too_short"
        or not any(path[: len(details["loc"])] == details["loc"] != path for path in paths)
    ]


def _name(value: dict[str, Any]) -> str:
    metadata = value.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _without_twins(items: list[Item[Object]], findings: Findings) -> list[Item[Object]]:
    first: dict[tuple[str, str, str], Item[Object]] = {}
    for item in items:
        namespace = "" if item.kind == "Node" else item.namespace
        other = first.setdefault((item.kind, namespace, item.name), item)
        if other is not item:
            called = f"{item.kind} {namespace}/{item.name}" if namespace else f"{item.kind} {item.name}"
            findings.mistake(
                item.place("metadata", "name"),
                f"{called} is given twice",
                f"the first is at {other.place('metadata', 'name')}",
            )
    return list(first.values())
