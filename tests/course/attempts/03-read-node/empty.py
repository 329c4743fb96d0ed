# points: 0, lost: addresses, virtual_servers, pods
found = {"addresses": [], "virtual_servers": 0, "pods": []}
