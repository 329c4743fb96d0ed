# points: 1, lost: outside node-1 cluster, outside node-1 local, outside node-2 cluster, outside node-2 local
home = "node-1" if "nodeName: node-1" in task.manifest.text else "node-2"
seen = {}
for call in task.calls:
    who, *where = call.split()
    if who == "outside":
        node, policy = where
        seen[call] = "node" if policy == "local" else "caller" if node == home else "nobody"
    else:
        seen[call] = "node" if who == "pod" else "caller"
