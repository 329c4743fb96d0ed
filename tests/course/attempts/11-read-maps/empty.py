# points: 0, lost: chain, node_port, pods, refused
found = {"chain": "", "node_port": "", "pods": [], "refused": []}
