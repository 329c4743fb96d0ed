# points: 0, lost: wrr, wlc, sed, nq
def choose_servers(servers, events):
    """Return each scheduler's choices."""
