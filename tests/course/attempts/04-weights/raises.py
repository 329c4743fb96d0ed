# points: 0, lost: answer
def weights_for(service_ms):
    raise NotImplementedError
