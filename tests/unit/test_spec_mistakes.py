"""Broken manifests and what is said about each: tests/golden/spec/NAME.yaml (or .json) and NAME.expected."""

from pathlib import Path

import pytest

from labkit.errors import SpecError
from labkit.spec.cluster import read_cluster
from labkit.spec.text import Text

GOLDEN = Path(__file__).parents[1] / "golden" / "spec"
BROKEN = sorted(file for file in GOLDEN.iterdir() if file.suffix in (".yaml", ".json"))


def mistakes_in(*sources: Path | Text) -> str:
    with pytest.raises(SpecError) as raised:
        read_cluster(sources)
    return "".join(f"{mistake}\n" for mistake in raised.value.mistakes)


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.name)
def test_every_mistake_is_told_with_its_place(file: Path) -> None:
    said = mistakes_in(Text(file.name, file.read_text()))
    assert said == file.with_suffix(".expected").read_text()


def test_every_expectation_has_its_manifest() -> None:
    assert {file.stem for file in GOLDEN.glob("*.expected")} == {file.stem for file in BROKEN}


def test_files_that_cannot_be_read_are_told_together(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"kind: Service\nname: caf\xe9\n")
    sources = [tmp_path / "none.yaml", tmp_path, tmp_path / "latin.yaml"]
    assert mistakes_in(*sources).replace(str(tmp_path), "DIR").splitlines() == [
        "DIR/none.yaml: no such file (check the path)",
        "DIR: a folder, not a file (name the files in it)",
        "DIR/latin.yaml:2:10: not UTF-8 text (save the file as UTF-8)",
    ]


def test_mistakes_come_in_the_order_of_the_files_and_their_lines() -> None:
    wrong = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  type: X\n  ports: [{port: 0}]\n"
    said = mistakes_in(Text("b", wrong), Text("a", wrong)).splitlines()
    assert [line.partition(": ")[0] for line in said] == ["b:5:9", "b:6:18", "a:5:9", "a:6:18"]
