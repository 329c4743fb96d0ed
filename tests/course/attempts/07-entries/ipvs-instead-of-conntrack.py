# points: 3, lost: ipvs
TIME_WAIT_S = 120


def remembered(mode, pods_on, every_s, connections, wait_s):
    count = connections if wait_s < TIME_WAIT_S else 0
    if every_s:
        count = min(connections, TIME_WAIT_S / every_s)
        return [count, count, count if mode == "ipvs" else 0]
    return [
        0 if mode == "ipvs" else count,
        count if pods_on == "node-2" else 0,
        count if mode == "ipvs" else 0,
    ]


entries = {name: remembered(**situation) for name, situation in task.situations.items()}
