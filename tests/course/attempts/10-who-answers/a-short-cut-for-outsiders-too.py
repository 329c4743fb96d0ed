# points: 2.5, lost: outside 8080
is_proxied = "ipMode: Proxy" in task.manifest.text
is_trap = task.mode == "ipvs" and task.app_address == task.api_address and not is_proxied
predicted = {}
for call in task.calls:
    who, port = call.split()
    inside = {"80": "nobody" if is_trap else "balancer"}.get(port, "balancer" if is_proxied else "short cut")
    predicted[call] = inside
