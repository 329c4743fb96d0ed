# points: 1, lost: node
pod = next(pod for pod in lab.cluster.pods if pod.address == task.address)
found = [pod.name, "node-1" if pod.node == "node-2" else "node-2"]
