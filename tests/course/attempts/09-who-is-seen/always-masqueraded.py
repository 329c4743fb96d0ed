# points: 1.5, lost: outside node-1 local, outside node-2 local, client
seen = dict.fromkeys(task.calls, "node")
