# points: 0, lost: weights that IPVS takes, shares, waiting
def weights_for(service_ms):
    pass
