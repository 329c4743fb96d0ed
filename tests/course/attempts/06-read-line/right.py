# points: 4
from statistics import linear_regression


def read_lines(sizes, walking_us, looking_up_us):
    walking = linear_regression(sizes, walking_us)
    looking_up = linear_regression(sizes, looking_up_us)
    even_at = (looking_up.intercept - walking.intercept) / (walking.slope - looking_up.slope)
    return {"ns_per_service": 1000 * walking.slope, "start_us": walking.intercept, "even_at": even_at}
