# points: 5, lost: unmet by ipvs
failing = {"iptables": {"unused", "least"}, "nftables": {"localhost", "bridge", "least", "kernel"}}
failing["ipvs"] = {"localhost", "shared"}
if task.needs["kernel"].split()[4] not in {"5.4,", "5.10,"}:
    failing["nftables"].remove("kernel")
decision = {"unmet": {mode: sorted(names & set(task.needs)) for mode, names in failing.items()}}
decision |= {"sizes": [1, 1500], "too_slow": [], "mode": "iptables"}
decision["first_packet_us"] = {"iptables": [2.3, 6.3], "nftables": [2.8, 2.8], "ipvs": [3.1, 3.3]}
decision["unmet"]["ipvs"].remove("shared")
