"""How many processors may be used, by what a container's control group says."""

import os

import pytest

from labkit.guest.processors import usable_processors

HERE = len(os.sched_getaffinity(0))


def group(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="ascii")
    return str(folder)


@pytest.mark.parametrize(
    ("share", "processors"),
    [
        ("max 100000", HERE),
        ("100000 100000", 1),
        ("25000 100000", 1),
        ("150000 100000", min(HERE, 2)),
        (f"{HERE + 1}00000 100000", HERE),
        ("garbage", HERE),
    ],
)
def test_version_2(tmp_path, share, processors):
    assert usable_processors(group(tmp_path, cpu_dot_max=share)) == processors


@pytest.mark.parametrize(("quota", "processors"), [(-1, HERE), (50000, 1), (100000, 1)])
def test_version_1(tmp_path, quota, processors):
    files = {"cpu__cpu_dot_cfs_quota_us": quota, "cpu__cpu_dot_cfs_period_us": 100000}
    assert usable_processors(group(tmp_path, **files)) == processors


def test_without_a_control_group_it_is_what_may_be_scheduled(tmp_path):
    assert usable_processors(str(tmp_path)) == HERE
