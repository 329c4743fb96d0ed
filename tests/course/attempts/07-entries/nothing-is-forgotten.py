# points: 2, lost: late, steady
def remembered(mode, pods_on, every_s, connections, wait_s):
    return [connections, connections if pods_on == "node-2" else 0, connections if mode == "ipvs" else 0]


entries = {name: remembered(**situation) for name, situation in task.situations.items()}
