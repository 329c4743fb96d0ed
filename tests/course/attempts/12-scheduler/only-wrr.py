# points: 1, lost: wlc, sed, nq
from math import gcd


def choose_servers(servers, events):
    weights = [server["weight"] for server in servers if server["weight"]]
    bars = range(max(weights), 0, -gcd(*weights))
    turn = [server["name"] for bar in bars for server in servers if server["weight"] >= bar]
    opened = [number for what, number in events if what == "open"]
    return {"wrr": [turn[number % len(turn)] for number in opened]}
