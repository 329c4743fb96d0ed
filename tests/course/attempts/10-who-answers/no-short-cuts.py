# points: 2, lost: pod 8080, node 8080
predicted = dict.fromkeys(task.calls, "balancer")
