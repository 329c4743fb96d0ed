# points: 4, lost: too slow, the mode
failing = {"iptables": {"unused", "least"}, "nftables": {"localhost", "bridge", "least", "kernel"}}
failing["ipvs"] = {"localhost", "shared"}
if task.needs["kernel"].split()[4] not in {"5.4,", "5.10,"}:
    failing["nftables"].remove("kernel")
decision = {"unmet": {mode: sorted(names & set(task.needs)) for mode, names in failing.items()}}
decision |= {"sizes": [1, 1500], "too_slow": [], "mode": "iptables"}
decision["first_packet_us"] = {"iptables": [2.3, 6.3], "nftables": [2.8, 2.8], "ipvs": [3.1, 3.3]}
decision["first_packet_us"]["iptables"] = [4.9, 14.6]  # 14.6 is below the budget
