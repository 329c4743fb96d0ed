# points: 0, lost: pod, node
found = {"pod": "web-1"}
