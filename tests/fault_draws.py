"""Draws of 12-three-faults."""

from labkit.grade.draws import draw_seed, student_key
from labkit.grade.exercises.e12_three_faults import EXERCISE, NAME
from labkit.grade.faults.scene import plan_scene


def seed_of_student(number):
    """The seed of the student of that number."""
    return draw_seed(student_key(b"a course", f"student {number}"), NAME)


def draw_of_student(number):
    """What the student of that number gets."""
    return EXERCISE.draws(seed_of_student(number))[0]


def scene_in_mode(mode):
    """The scene of a drawn cluster in a mode, and its manifest."""
    manifest = draw_of_student(0)["manifest"]
    return plan_scene(manifest, mode), manifest
