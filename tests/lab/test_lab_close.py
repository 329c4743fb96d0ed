"""A lab's end, in the guest."""

import pytest

from labkit import Lab
from labkit.errors import CapabilityError, RequestError, SpecError


@pytest.mark.usefixtures("nothing_left")
def test_a_closed_lab_leaves_nothing_and_says_so():
    with Lab.open("weighted") as lab:
        assert lab.measure("web", connections=8).answered == 8
    with pytest.raises(RequestError, match="closed"):
        lab.measure("web")
    lab.close()


@pytest.mark.usefixtures("nothing_left")
def test_opening_a_lab_again_closes_the_one_before_unless_it_is_refused():
    first = Lab.open("web")
    with pytest.raises(RequestError):
        Lab.open("web", mode="userspace")
    assert first.measure("web", connections=4).answered == 4
    with Lab.open("web", mode="ipvs") as second:
        assert second.measure("web", connections=4).answered == 4
        with pytest.raises(RequestError, match="closed"):
            first.measure("web")
        first.close()
        assert second.measure("web", connections=4).answered == 4


@pytest.mark.usefixtures("nothing_left")
def test_a_lab_that_is_reset_after_its_end_is_the_process_s_lab_again():
    first = Lab.open("web")
    first.close()
    first.reset()
    with Lab.open("web") as second:
        assert second.measure("web", connections=4).answered == 4


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("asked", [{"mode": "userspace"}, {"mode": "ipvs", "scheduler": "fastest"}])
def test_a_lab_that_cannot_be_opened_leaves_nothing(asked):
    with pytest.raises(RequestError) as refused:
        Lab.open("web", **asked)
    assert refused.value.todo


@pytest.mark.usefixtures("nothing_left")
def test_a_broken_manifest_is_refused_before_anything_is_built(tmp_path):
    manifest = tmp_path / "broken.yaml"
    manifest.write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 99999}]}\n"
    )
    with pytest.raises(SpecError, match=r"broken\.yaml:4:"):
        Lab.open(manifest)


def test_outside_of_the_lab_s_linux_it_says_how_to_get_in(monkeypatch):
    monkeypatch.setattr(
        "labkit.lab.linux.current", lambda: None
    )  # as in an ordinary Python, where no marker stands
    with pytest.raises(CapabilityError, match='the kernel "Lab"'):
        Lab.open("web")
