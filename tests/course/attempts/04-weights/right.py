# points: 5
def weights_for(service_ms):
    return {pod: round(1000 / time) for pod, time in service_ms.items()}
