# points: 0, lost: at once, per second
def most_connections(first_port, last_port, addresses, services):
    """Return how many connections there can be at once, and how many a second."""
    pass
