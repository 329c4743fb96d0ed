# points: 4
def lost(algorithm, pods, retries):
    if algorithm == "rr":
        return 0.0 if retries else 1 / pods
    return (1 / pods) ** (retries + 1)


shares = [lost(**situation) for situation in task.situations]
