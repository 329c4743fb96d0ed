"""The site's source, laid out as the repository is: every link of a document leads where it does there."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import nbformat
from lessons import executed_lesson, page_notebook

import labkit
from labkit.course.lesson import lesson_sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN = ("conf.py", "index.md", "site.css")
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_ALONE = "---\norphan: true\n---\n"
_PICTURE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")  # a badge would be fetched: its words stand for it
_API_HEAD = """Python
======

What ``from labkit import ...`` offers, in the kernel "Lab" or under ``labkit exec -- python``.

"""


def stage_site(tree: Path, source: Path, kept: Path) -> None:
    """Write the site's source: the documents, what they link to, the lessons with their outputs, the API."""
    shutil.rmtree(source, ignore_errors=True)
    for name in OWN:
        copy(tree / "docs/site" / name, source / name)
    for document in documents(tree):
        copy(document, source / document.relative_to(tree))
        for linked in linked_files(document, tree):
            place = source / linked.relative_to(tree)
            copy(linked, place)
            if linked.suffix == ".md":  # a page that no list of contents has
                place.write_text(_ALONE + place.read_text(encoding="utf-8"), encoding="utf-8")
    contents = []
    for lesson in lesson_sources(tree / "notebooks/source"):
        page = source / f"notebooks/{lesson.stem}.ipynb"
        page.parent.mkdir(exist_ok=True)
        notebook = page_notebook(executed_lesson(lesson, kept, tree))
        nbformat.write(notebook, page)
        contents.append(f"{lesson.stem[:2]}: {title(notebook)} <notebooks/{lesson.stem}>")
    index = source / "index.md"
    index.write_text(
        index.read_text(encoding="utf-8").replace("LESSONS", "\n".join(contents)), encoding="utf-8"
    )
    readme = source / "README.md"
    readme.write_text(_PICTURE.sub(r"\1", readme.read_text(encoding="utf-8")), encoding="utf-8")
    (source / "api.rst").write_text(api_page(), encoding="utf-8")


def title(notebook: Any) -> str:
    """Return a lesson's title: its first heading."""
    return str(notebook.cells[0].source.splitlines()[0].removeprefix("# "))


def documents(tree: Path) -> list[Path]:
    """Return what is written for people, apart from the lessons."""
    return sorted([tree / "README.md", tree / "CONTRIBUTING.md", *tree.glob("docs/*.md")])


def linked_files(document: Path, tree: Path) -> Iterator[Path]:
    """Yield the repository's files that a document links to and that are not pages already."""
    pages = {page.resolve() for page in documents(tree)}
    for link in _LINK.finditer(document.read_text(encoding="utf-8")):
        address = urlsplit(link["target"])
        file = (document.parent / address.path).resolve()
        if address.path and not address.scheme and file not in pages and file.is_file():
            yield tree / file.relative_to(tree.resolve())


def copy(file: Path, place: Path) -> None:
    """Copy a file, making the folders around its place."""
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, place)


def api_page() -> str:
    """Return the reference of all public names, as reStructuredText for Sphinx's autodoc."""
    parts = [_API_HEAD]
    for name in labkit.__all__:
        if isinstance(getattr(labkit, name), type):
            parts.append(f".. autoclass:: labkit.{name}\n   :members:\n")
        else:
            parts.append(f".. autofunction:: labkit.{name}\n")
    return "\n".join(parts)
