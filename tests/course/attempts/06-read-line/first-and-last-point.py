# points: 0, lost: slope, start, even
def read_lines(sizes, walking_us, looking_up_us):
    slope = (walking_us[-1] - walking_us[0]) / (sizes[-1] - sizes[0])
    return {
        "ns_per_service": 1000 * slope,
        "start_us": walking_us[0],
        "even_at": (looking_up_us[0] - walking_us[0]) / slope,
    }
