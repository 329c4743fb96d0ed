# points: 2, lost: turns with further tries, dice with further tries
def lost(algorithm, pods, retries):
    if algorithm == "rr":
        return 1 / pods
    return 1 / pods


shares = [lost(**situation) for situation in task.situations]
