# points: 0, lost: weights that IPVS takes, shares, waiting
def weights_for(service_ms):
    return {pod: 1 / time for pod, time in service_ms.items()}
