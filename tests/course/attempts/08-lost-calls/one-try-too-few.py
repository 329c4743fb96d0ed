# points: 3, lost: dice with further tries
def lost(algorithm, pods, retries):
    if algorithm == "rr":
        return 0.0 if retries else 1 / pods
    return (1 / pods) ** max(1, retries)


shares = [lost(**situation) for situation in task.situations]
