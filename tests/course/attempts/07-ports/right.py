# points: 4
def most_connections(first_port, last_port, addresses, services):
    """Return how many connections there can be at once, and how many a second."""
    at_once = (last_port - first_port + 1) * addresses * services
    return [at_once, at_once / 60]
