# points: 1, lost: shares, waiting
def weights_for(service_ms):
    return dict.fromkeys(service_ms, 1)
