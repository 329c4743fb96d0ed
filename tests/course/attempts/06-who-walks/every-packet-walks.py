# points: 3, lost: later
saved = lab.nodes["node-1"].command(["iptables-legacy-save", "-t", "nat"]).stdout
rules = [line for line in saved.splitlines() if line.startswith("-A KUBE-SERVICES ")]
place = {
    name: 1 + next(at for at, rule in enumerate(rules) if f"/{name}:http " in rule) for name in lab.services
}
compared = {
    "near": [place[task.calls["near"]], 0],
    "far": [place[task.calls["far"]], len(rules)],
    "direct": [len(rules), len(rules)],
    "later": [place[task.calls["far"]], len(rules)],
}
