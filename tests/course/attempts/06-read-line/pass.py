# points: 0, lost: slope, start, even
def read_lines(sizes, walking_us, looking_up_us):
    """Return what the lines say."""
