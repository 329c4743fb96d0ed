"""The exercise 06-read-line: whichever lines are drawn, only the whole line has the right slope."""

from hypothesis import given
from hypothesis import strategies as st

from labkit.grade.draws import draw_random
from labkit.grade.exercises.e06_read_line import judge, plan_draw
from labkit.measure.slope import fit_line

SEEDS = st.text("0123456789abcdef", min_size=64, max_size=64)


def earned(given, slope_us, start_us, even_at):
    said = {"ns_per_service": 1000 * slope_us, "start_us": start_us, "even_at": even_at}
    return {finding.part: finding.points for finding in judge(given, said)}


@given(SEEDS)
def test_least_squares_earn_all_and_a_look_at_one_point_or_two_nothing_for_the_slope(seed):
    drawn = plan_draw(draw_random(seed))
    sizes, walking = drawn["sizes"], drawn["walking_us"]
    lines = [fit_line(list(zip(sizes, drawn[name], strict=True))) for name in ("walking_us", "looking_up_us")]
    even_at = (lines[1].intercept - lines[0].intercept) / (lines[0].slope - lines[1].slope)
    assert 0 < even_at < sizes[-1]
    right = earned(drawn, lines[0].slope, lines[0].intercept, even_at)
    assert right == {"slope": 2.0, "start": 1.0, "even": 1.0}
    ends = (walking[-1] - walking[0]) / (sizes[-1] - sizes[0])
    for slope_us in (ends, walking[-1] / sizes[-1]):
        assert earned(drawn, slope_us, walking[0], even_at) == {"slope": 0.0, "start": 0.0, "even": 1.0}
