# points: 0, lost: first complaint, second complaint, third complaint, nothing else
mends = "\n".join(
    f"ip netns exec {node} {command}"
    for node in ("node-1", "node-2")
    for command in ("iptables-legacy -F", "iptables-legacy -t nat -F", "iptables-legacy -P FORWARD ACCEPT")
)
