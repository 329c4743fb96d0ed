# points: 0, lost: answer
mends = ["ip netns exec node-1 sysctl -w net.ipv4.ip_forward=1"]
