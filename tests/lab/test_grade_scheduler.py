"""12-scheduler: the kernel's own choices, and that only what a learner can know decides them."""

import pytest
from scheduler_draws import choose_by_twin, draws_of_student

from labkit.grade.exercises.e12_scheduler import HINTS, choose_by_kernel


@pytest.mark.parametrize("number", range(4))
def test_the_kernel_chooses_as_its_twins_for_each_student(number):
    for given in draws_of_student(number):
        for scheduler in HINTS:
            assert choose_by_kernel(scheduler, given) == choose_by_twin(scheduler, given), scheduler
