# points: 2, lost: pods
lab.switch("ipvs")
node = lab.nodes["node-1"]
words = node.command(["ip", "-brief", "address", "show", "dev", "kube-ipvs0"]).stdout.split()
table = node.command(["ipvsadm", "-S", "-n"]).stdout.splitlines()
mine = [line.split() for line in table]
found = {"addresses": [word.removesuffix("/32") for word in words if word.endswith("/32")]}
found["virtual_servers"] = sum(line.startswith("-A") for line in table)
found["pods"] = [line[line.index("-r") + 1] for line in mine if "-r" in line]
