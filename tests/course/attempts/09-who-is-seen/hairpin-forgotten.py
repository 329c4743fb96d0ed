# points: 2.5, lost: pod itself
home = "node-1" if "nodeName: node-1" in task.manifest.text else "node-2"
seen = {}
for call in task.calls:
    who, *where = call.split()
    if who == "outside":
        node, policy = where
        seen[call] = "node" if policy == "cluster" else "caller" if node == home else "nobody"
    else:
        seen[call] = "caller"
