# points: 0, lost: pod 80, pod 8080, node 80, node 8080, outside 80, outside 8080
predicted = "balancer"
