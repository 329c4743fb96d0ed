"""The lessons as pages: each run once in the lab, kept by what it was run with, and made fit for a page.

A run is kept in a file whose name has the digest of all that can change its outputs: the lesson's source, the
package, and the lab's Linux. So a second build runs nothing, and no page shows what this code does not do.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from typing import TYPE_CHECKING, Any

import nbformat
from nbclient import NotebookClient

from labkit.course.lesson import plan_notebook
from labkit.session.kernelspec import KERNEL_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
SHOWN = ("text/html", "text/plain", "image/svg+xml", "image/png")
CELL_LIMIT_S = 120
_MARKERS = re.compile(r"^[ \t]*### (BEGIN|END) SOLUTION\n?", re.MULTILINE)  # nbgrader's
NO_CONTROLS = '<p class="labkit-controls">Controls stand here in Jupyter, where the lab runs.</p>'


def executed_lesson(source: Path, kept: Path, tree: Path) -> Any:
    """Return a lesson's notebook, solutions and outputs in it; run it unless that was done before."""
    file = kept / f"{source.stem}-{digest([source, *what_runs(tree)], tree)}.ipynb"
    if not file.exists():
        notebook = run_lesson(source)
        for old in kept.glob(f"{source.stem}-*.ipynb"):
            old.unlink()
        kept.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, file)
    return nbformat.read(file, as_version=4)


def what_runs(tree: Path) -> list[Path]:
    """Return the files that a lesson's outputs depend on: the package, and what the lab's Linux is."""
    package = (path for path in tree.glob("labkit/**/*") if path.suffix in {".py", ".js", ".css", ".yaml"})
    return [*sorted(package), tree / "guest-kernel/src/labkit_guest/manifest.json"]


def digest(files: Iterable[Path], tree: Path) -> str:
    """Return a short digest of the files' names and contents."""
    found = hashlib.sha256()
    for file in files:
        found.update(f"{file.relative_to(tree)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()[:16]


def run_lesson(source: Path) -> Any:
    """Run a lesson with its solutions in the kernel "Lab". An error in a cell is raised."""
    notebook = plan_notebook(source)
    with tempfile.TemporaryDirectory(prefix="labkit-page-") as folder, tempfile.TemporaryFile() as log:
        NotebookClient(
            notebook,
            timeout=CELL_LIMIT_S,
            startup_timeout=CELL_LIMIT_S,
            kernel_name=KERNEL_NAME,
            resources={"metadata": {"path": folder}},
        ).execute(stderr=log)
    return notebook


def page_notebook(notebook: Any) -> Any:
    """Return the executed notebook as a page can show it: without controls, its solutions folded away."""
    page = nbformat.from_dict(notebook)
    page.metadata.pop("widgets", None)
    for cell in page.cells:
        nbgrader = cell.metadata.pop("nbgrader", {})
        if nbgrader.get("solution"):
            cell.metadata["tags"] = ["hide-input"]
            cell.source = _MARKERS.sub("", cell.source).rstrip("\n")
        if cell.cell_type == "code":
            cell.outputs = [page_output(output) for output in whole_streams(cell.outputs)]
    return page


def whole_streams(outputs: Iterable[Any]) -> list[Any]:
    """Join what came of one stream in pieces, wherever they were cut."""
    whole: list[Any] = []
    for output in outputs:
        if whole and output.output_type == "stream" and whole[-1].get("name") == output.name:
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


def page_output(output: Any) -> Any:
    """Return an output with what a page shows of it."""
    if "data" in output:
        output["data"] = page_data(output["data"])
    return output


def page_data(data: Any) -> Any:
    """Return of an output what a page shows without scripts; where only controls stood, a word of them."""
    kept = {kind: content for kind, content in data.items() if kind in SHOWN}
    if WIDGET_MIME in data:
        kept.setdefault("text/html", NO_CONTROLS)
    return kept
