# points: 3, lost: steady
TIME_WAIT_S = 60


def remembered(mode, pods_on, every_s, connections, wait_s):
    count = connections
    if every_s:
        count = min(connections, TIME_WAIT_S / every_s)
    elif wait_s > 120:
        count = 0
    return [count, count if pods_on == "node-2" else 0, count if mode == "ipvs" else 0]


entries = {name: remembered(**situation) for name, situation in task.situations.items()}
