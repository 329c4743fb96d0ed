# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Lab
#     language: python
#     name: labkit
# ---

# %% [markdown]
# # If the kernel has a load balancer of its own, what is left for iptables to do?
#
# **Time:** 40 to 50 minutes. **You need:** lessons 00 and 02. **Choose the kernel "Lab"** (top right).
#
# IPVS dates from the nineties: a load balancer inside the kernel, made for web farms. kube-proxy's IPVS mode puts every
# Service into it. One would think that this ends iptables on the node. It does not, and the reasons tell you how both really work.
#
# When you are done you can
#
# 1. read a node's virtual servers, and find the pods behind an address,
# 2. say why every Service address must lie on `kube-ipvs0`, and what happens when one is missing,
# 3. name the three jobs that iptables keeps in IPVS mode, and what an *ipset* saves there,
# 4. say what connection tracking is still for.

# %%
from labkit import Lab, show_topology

lab = Lab.open("web", mode="ipvs", scheduler="rr")
show_topology(lab)

# %% [markdown]
# ## Virtual servers
#
# IPVS knows *virtual servers* (an address, a protocol, a port) and behind each of them *real servers*. The Service `web` has one
# cluster IP and one node port. **Predict:** how many virtual servers will `node-1` have?

# %% language="bash"
# ip netns exec node-1 ipvsadm -L -n

# %% [markdown]
# Three: the cluster IP, and the node port **once for each address that the node has**: 172.18.0.11 on the nodes' network, and 10.244.1.1,
# its end of the pods' bridge. iptables mode said "any local address, port 30080" in one rule; a virtual server has exactly one address.
# A node with ten addresses and a hundred node ports has a thousand virtual servers for them.
#
# `Masq` is how packets are forwarded: by rewriting the destination, like DNAT. (IPVS has two more ways; kube-proxy uses only this.)
# `rr` is the scheduler.
#
# ## Where does IPVS sit?
#
# iptables mode rewrote the destination in PREROUTING, *before* the node decided where the packet goes. IPVS sits at the INPUT hook,
# *after* that decision: it only sees packets that are **for this node**. So kube-proxy makes each Service address the node's own:

# %% language="bash"
# ip netns exec node-1 ip -brief address show dev kube-ipvs0
# ip netns exec node-1 ip route get 10.96.0.10

# %% [markdown]
# `kube-ipvs0` is a *dummy* interface, a plug without a cable, and it is even DOWN. That does not matter: an address makes packets
# `local` as soon as it is there.
#
# **Predict:** take the address away. Will calls fail, and how?

# %% language="bash"
# ip netns exec node-1 ip address del 10.96.0.10/32 dev kube-ipvs0
# for call in 1 2 3 4; do ip netns exec client curl -s -m 1 10.96.0.10 || echo "no answer"; done

# %% [markdown]
# Something odd: some calls time out, but some are **answered**. By whom? `node-1` no longer takes the packets as its own, so it sends
# them out by its default route and asks the cable: *who has 10.96.0.10?* And somebody says "I do":

# %% language="bash"
# ip netns exec node-1 ip neighbour show 10.96.0.10
# ip netns exec node-2 ip -brief link show eth0

# %% [markdown]
# The same hardware address: it is **`node-2`**, which has 10.96.0.10 on *its* `kube-ipvs0`, and Linux by default answers for any of its
# addresses on any of its interfaces. `node-2` then balances the connection. Where it chooses a pod of its own, the answer finds its
# way; where it chooses one on `node-1`, the answer goes straight to the client, past the node that rewrote the address, and is
# thrown away.
#
# That nodes answer for Service addresses on the cable is why kube-proxy has a setting `ipvs.strictARP`, and why load balancers
# that announce addresses by ARP (MetalLB, kube-vip) ask you to switch it on. Let kube-proxy mend its node:

# %%
lab.proxy["node-1"].resync()
lab.measure("web", connections=40).answers

# %% [markdown]
# ## See one packet do it
#
# **Predict**, before you step through it: which hook comes first, the one that decides that the packet is `local`, or IPVS? And where is
# the destination rewritten?

# %%
from labkit import show_journey

with lab.journey("client", service="web") as journey:
    pass
show_journey(journey)

# %% [markdown]
# ## What iptables still does
#
# **Predict:** how many rules in the `nat` table name the Service's address 10.96.0.10?

# %% language="bash"
# ip netns exec node-1 iptables-legacy-save -t nat | grep -c 10.96.0.10
# ip netns exec node-1 iptables-legacy-save -t nat | grep -E '^-A KUBE-(SERVICES|NODE-PORT|POSTROUTING)'

# %% [markdown]
# None. The rules name **sets** (`--match-set`), and there are as many rules for 5,000 Services as for one. A set is a hash table in
# the kernel: to look up one entry takes as long in a small one as in a large one.

# %% language="bash"
# ip netns exec node-1 ipset list KUBE-CLUSTER-IP | tail -2
# ip netns exec node-1 ipset list KUBE-LOOP-BACK | tail -4

# %% [markdown]
# What are these rules for? You know all three jobs from lesson 02; IPVS cannot do any of them:
#
# 1. **Masquerade** callers from outside: `KUBE-MARK-MASQ`, for node ports and for what does not come from a pod.
# 2. **The hairpin:** `KUBE-LOOP-BACK` holds *pod, port, same pod*: whoever got itself.
# 3. **Reject and filter:** ports of a Service address that no Service has (`KUBE-IPVS-FILTER`), and source ranges of load balancers.
#
# Try the first two:

# %% language="bash"
# ip netns exec outside curl -s 172.18.0.11:30080
# for call in 1 2 3 4; do ip netns exec web-1 curl -s 10.96.0.10; done

# %% [markdown]
# Look at `peer`: the outsider and the pod that got itself (with `rr`, once in four) were hidden behind the node's address; the others
# were not.
#
# ## Two memories
#
# IPVS remembers each connection, to send its later packets to the same pod. So does connection tracking. Both have an entry:

# %% language="bash"
# ip netns exec node-1 ipvsadm -L -n -c | head -3
# ip netns exec node-1 conntrack -L -p tcp --orig-dst 10.96.0.10 2>/dev/null | head -1

# %% [markdown]
# Why twice? IPVS could live without connection tracking, and outside of Kubernetes it usually does; that is faster. But *masquerade* is
# iptables' work, and iptables remembers in connection tracking. kube-proxy therefore sets a switch: `net.ipv4.vs.conntrack=1`, keep both
# in step.
#
# **Break it: predict** which of these calls survive when the switch is off: an outsider's (masqueraded), or a pod's (not
# masqueraded)?

# %% language="bash"
# ip netns exec node-1 sysctl -w net.ipv4.vs.conntrack=0
# for call in 1 2 3 4; do ip netns exec outside curl -s -m 1 172.18.0.11:30080 || echo "no answer"; done
# for call in 1 2 3 4; do ip netns exec client curl -s -m 1 10.96.0.10 || echo "no answer"; done

# %% [markdown]
# The pod's calls work: IPVS needs nobody. Of the outsider's calls, those that went to a pod on the other node get no answer. Look at
# `peer` in the others: the outsider's own address, nothing was masqueraded. A pod on `node-1` still answers through `node-1`, which
# rewrites the answer back. A pod on `node-2` answers straight to the outsider, and an answer from a stranger is thrown away. Put it back:

# %%
lab.proxy["node-1"].resync()

# %% language="bash"
# for call in 1 2 3 4; do ip netns exec outside curl -s -m 1 172.18.0.11:30080 || echo "no answer"; done

# %% [markdown]
# ## Your turn: read a node
#
# The next cell opens a cluster of several Services in IPVS mode. Fill `found` from the state of `node-1`, by commands or by code:
#
# - `"addresses"`: the addresses on `kube-ipvs0`, as a list of texts without `/32`,
# - `"virtual_servers"`: how many virtual servers there are,
# - `"pods"`: the real servers (`address:port`) behind `task.cluster_ip`, port `task.port`, as a list.

# %%
from labkit.grade import check, draw

lab.close()
task = draw("03-read-node")
lab = Lab.open(task.manifest, mode="ipvs")
task

# %% nbgrader={"grade": false, "grade_id": "03-read-node", "locked": false, "schema_version": 3, "solution": true, "task": false}
found = {"addresses": [], "virtual_servers": 0, "pods": []}
### BEGIN SOLUTION
node = lab.nodes["node-1"]
words = node.command(["ip", "-brief", "address", "show", "dev", "kube-ipvs0"]).stdout.split()
table = node.command(["ipvsadm", "-S", "-n"]).stdout.splitlines()
mine = [line.split() for line in table if f" {task.cluster_ip}:{task.port} " in line]
found["addresses"] = [word.removesuffix("/32") for word in words if word.endswith("/32")]
found["virtual_servers"] = sum(line.startswith("-A") for line in table)
found["pods"] = [line[line.index("-r") + 1] for line in mine if "-r" in line]
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check-03-read-node", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("03-read-node")

# %% [markdown]
# ## Start over
#
# This puts the lab back as it was opened last.

# %%
lab.reset()

# %% [markdown]
# ## What you found
#
# 1. `ipvsadm -L -n` lists virtual servers and the real servers behind each; a node port has one for each of the node's addresses.
# 2. IPVS sees only what is local, so every Service address lies on `kube-ipvs0`. Where it is missing, another node may answer for it
#    on the cable: that is what `strictARP` is about.
# 3. iptables masquerades, mends the hairpin and filters, with a fixed number of rules; the Services stand in ipsets, which are hash tables.
# 4. IPVS remembers connections itself; connection tracking is there for masquerade, and `net.ipv4.vs.conntrack` keeps both in step.
#
# **Further reading:** `man ipvsadm`, `man ipset`;
# [IPVS mode](https://kubernetes.io/docs/reference/networking/virtual-ips/#proxy-mode-ipvs) in Kubernetes' documentation.
