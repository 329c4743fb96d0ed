# points: 3, lost: wrr
def turns(servers):
    weights = [server["weight"] for server in servers if server["weight"]]
    step = 1
    while True:
        for bar in range(max(weights), 0, -step):
            yield from (server for server in servers if server["weight"] >= bar)


def wlc(server):
    return (257 * server["active"] + server["inactive"]) / server["weight"]


def sed(server):
    return (server["active"] + 1) / server["weight"]


def nq(server):
    return (server["active"] > 0, sed(server) if server["active"] else 0)


def run(servers, events, load=None):
    servers = [dict(server, active=0, inactive=0) for server in servers]
    order, chosen = turns(servers), {}
    for what, number in events:
        if what == "close":
            chosen[number]["active"] -= 1
            chosen[number]["inactive"] += 1
        else:
            taking = [server for server in servers if server["weight"]]
            chosen[number] = min(taking, key=load) if load else next(order)
            chosen[number]["active"] += 1
    return [server["name"] for server in chosen.values()]


def choose_servers(servers, events):
    rules = {"wrr": None, "wlc": wlc, "sed": sed, "nq": nq}
    return {name: run(servers, events, rule) for name, rule in rules.items()}
