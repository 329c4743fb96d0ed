# points: 0, lost: weights that IPVS takes, shares, waiting
def weights_for(service_ms):
    return {pod: round(1000 / time) for pod, time in list(service_ms.items())[1:]}
