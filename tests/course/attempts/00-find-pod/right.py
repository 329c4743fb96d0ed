# points: 2
pod = next(pod for pod in lab.cluster.pods if pod.address == task.address)
found = [pod.name, pod.node]
