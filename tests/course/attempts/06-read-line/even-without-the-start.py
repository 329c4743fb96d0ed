# points: 3, lost: even
from statistics import linear_regression, mean


def read_lines(sizes, walking_us, looking_up_us):
    walking = linear_regression(sizes, walking_us)
    return {
        "ns_per_service": 1000 * walking.slope,
        "start_us": walking.intercept,
        "even_at": mean(looking_up_us) / walking.slope,
    }
