# points: 2, lost: shares, waiting
def weights_for(service_ms):
    return {pod: (max(service_ms.values()) // time) ** 2 for pod, time in service_ms.items()}
