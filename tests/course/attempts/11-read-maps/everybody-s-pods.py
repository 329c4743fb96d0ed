# points: 3, lost: pods
import re

lab.switch("nftables")
table = lab.nodes["node-1"].command(["nft", "list", "table", "ip", "kube-proxy"]).stdout
chain = re.search(rf"{task.cluster_ip} \. tcp \. {task.port} : goto ([^ ,]+)", table)[1]
node_port = re.search(rf"tcp \. {task.node_port} : goto ([^ ,]+)", table)[1]
chains = dict(re.findall(r"chain (\S+) \{(.*?)\n\t\}", table, re.DOTALL))
pods = [re.search(r"dnat to (\S+)", chains[end])[1] for end in re.findall(r"endpoint-[^ ,]+", chains[chain])]
nobody = re.search(r"map no-endpoint-services \{(.*?)\n\t\}", table, re.DOTALL)[1]
refused = re.findall(r"[\d.]+ \. tcp \. \d+", nobody)
found = {"chain": chain, "node_port": node_port, "refused": refused}
found["pods"] = re.findall(r"dnat to (\S+)", table)
