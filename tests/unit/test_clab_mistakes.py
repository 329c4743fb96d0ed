"""Clab files that are wrong, or ask for more than the lab has: tests/golden/clab/NAME.clab.yml, .expected."""

from pathlib import Path

import pytest

from labkit.errors import SpecError
from labkit.spec.clab import read_clab
from labkit.spec.text import Text

GOLDEN = Path(__file__).parents[1] / "golden" / "clab"
REFUSED = sorted(GOLDEN.glob("*.clab.yml"))


def expectation(file: Path) -> Path:
    return file.with_name(file.name.removesuffix(".clab.yml") + ".expected")


@pytest.mark.parametrize("file", REFUSED, ids=lambda file: file.name)
def test_what_the_lab_cannot_build_is_told_by_name_and_line(file: Path) -> None:
    with pytest.raises(SpecError) as raised:
        read_clab(Text(file.name, file.read_text()), {})
    said = "".join(f"{mistake}\n" for mistake in raised.value.mistakes)
    assert said == expectation(file).read_text()
    assert said.count("\n") == 1, "one mistake, one line"


def test_each_group_has_ten_and_each_file_its_expectation() -> None:
    for group in ("malformed", "unsupported"):
        assert sum(file.name.startswith(group) for file in REFUSED) >= 10
    assert {file.name for file in GOLDEN.glob("*.expected")} == {expectation(file).name for file in REFUSED}
