# points: 1, lost: pod
pod = next(pod for pod in lab.cluster.pods if pod.address == task.address)
found = [pod.name + "0", pod.node]
