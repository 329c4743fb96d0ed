"""A course root with submissions in it, and cells run by the kernel that grades, as nbgrader has it do."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbgrader.utils import determine_grade

from labkit.grade.draws import draw_seed, student_key
from labkit.grade.exercise import find_exercise
from labkit.session import kernelspec
from labkit.spec.cluster import read_manifests
from labkit.spec.naming import namespace_name
from labkit.spec.text import Text

EXERCISE = "00-find-pod"
CHECK = f'check("{EXERCISE}")'
POINTS = 2.0
SECRET = "5e" * 32
PATIENCE_S = 300
NOTEBOOK_PATIENCE_S = 400


class CourseRoot:
    """`ann` is graded; what lies beside her folder is none of her notebook's business."""

    def __init__(self, root: Path, jupyter_data: Path) -> None:
        self.root = root
        self.folder = root / "autograded/ann/lesson"
        self.others = root / "autograded/bob/lesson"
        for folder in (self.folder, self.others):
            folder.mkdir(parents=True)
        (self.folder / "data.txt").write_text("given")
        (self.others / "lesson.ipynb").write_text("bob's work")
        (root / "secret").write_text(SECRET)
        (root / "gradebook.db").write_text("the marks")
        self.path = root.with_suffix(".ipynb")
        self._kernels = jupyter_data / "kernels"

    @property
    def files(self) -> dict[str, tuple[str, int, int]]:
        """Every file's content, mode and time."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
            found[str(path.relative_to(self.root))] = (text, path.stat().st_mode, path.stat().st_mtime_ns)
        return found

    @property
    def right(self) -> str:
        """The cell that answers the exercise, for the draw that is ann's."""
        seed = draw_seed(student_key(bytes.fromhex(SECRET), "ann"), EXERCISE)
        given = find_exercise(EXERCISE).draws(seed)[0]
        cluster = read_manifests([Text(EXERCISE, given["manifest"])])
        pod = next(pod for pod in cluster.pods if pod.address == given["address"])
        return f"found = {[namespace_name(pod), pod.node]!r}"

    def run(self, *cells: str, options: tuple[str, ...] = ()) -> list[nbformat.NotebookNode]:
        """Run the cells as nbgrader does, after errors too; return them with their outputs."""
        notebook = nbformat.v4.new_notebook(cells=[_cell(source) for source in cells])
        nbformat.write(notebook, self.path)
        command = [sys.executable, __file__, str(self._kernels), str(self.path), str(self.folder), *options]
        log = self.path.with_suffix(".log")
        with log.open("wb") as errors:  # a pipe would be waited for as long as anything holds its end
            done = subprocess.run(command, stderr=errors, check=False, timeout=NOTEBOOK_PATIENCE_S)
        assert done.returncode == 0, log.read_text(encoding="utf-8", errors="replace")
        return nbformat.read(self.path, as_version=4).cells


def execute(kernels: str, path: str, folder: str, options: list[str]) -> None:
    """Run the notebook at `path` in place: in a process of its own, as nbclient leaves things open."""
    specs = KernelSpecManager(kernel_dirs=[kernels])
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_name=kernelspec.GRADING_KERNEL_NAME, kernel_spec_manager=specs),
        timeout=PATIENCE_S,
        allow_errors=True,
        extra_arguments=options,
        resources={"metadata": {"path": folder}},
    ).execute()
    nbformat.write(notebook, path)


def _cell(source: str) -> nbformat.NotebookNode:
    cell = nbformat.v4.new_code_cell(source)
    if source == CHECK:
        cell.metadata["nbgrader"] = {"grade": True, "solution": False, "points": POINTS, "grade_id": "check"}
    return cell


def points(cell: nbformat.NotebookNode) -> float:
    """What nbgrader gives for a test cell."""
    mark, most = determine_grade(cell)
    assert most == POINTS
    return mark


def text(cell: nbformat.NotebookNode) -> str:
    """Everything that a cell shows, as text."""
    return "\n".join(json.dumps(output) for output in cell.outputs)


def stdout(cell: nbformat.NotebookNode) -> str:
    """What a cell wrote to its standard output."""
    return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


def error_name(cell: nbformat.NotebookNode) -> str | None:
    """The name of the error that a cell ended with."""
    names = [output.ename for output in cell.outputs if output.output_type == "error"]
    return names[0] if names else None


if __name__ == "__main__":
    execute(*sys.argv[1:4], sys.argv[4:])
