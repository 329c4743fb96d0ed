# points: 1, lost: shares, waiting
def weights_for(service_ms):
    return dict(service_ms)
