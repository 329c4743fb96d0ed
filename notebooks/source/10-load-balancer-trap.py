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
# # Why does the shop vanish, for the cluster's own pods, when kube-proxy is switched to IPVS?
#
# **Time:** 35 to 45 minutes. **You need:** lesson 00 and lesson 02. **Choose the kernel "Lab"** (top right).
#
# A cloud gives a cluster one public address. Two things are published on it: a shop behind an *Ingress*, port 80, and an API as
# a *Service* of type LoadBalancer, port 8080. Customers are happy. Then kube-proxy is switched from iptables mode to IPVS mode,
# and pods that call the shop by its public address get *connection refused*. Customers still notice nothing. The cloud's
# documentation has a sentence about it: in IPVS mode "an ingress and a Service must not share a load balancer".
#
# When you are done you can
#
# 1. show, with the load balancer's own counters, which packets ever reach it,
# 2. name the interface that takes them away, and the line of the routing table that says so,
# 3. explain why one port of the address still works and the other does not, and why outsiders see no difference,
# 4. find, try and defend a way out.

# %% [markdown]
# ## The cluster
#
# Two nodes. The Deployment `shop` stands behind an Ingress, `api` behind a Service of type LoadBalancer. `balancer` is what your
# cloud would rent you: a machine *outside* of the cluster that owns 203.0.113.10. It takes connections on port 80, reads their HTTP
# and passes them on to the shop's node port; on port 8080 it passes them to the API's node port.

# %%
from labkit import Lab

lab = Lab.open("ingress-trap", mode="iptables")
lab

# %%
from labkit import show_topology

show_topology(lab)

# %% [markdown]
# ## Before: iptables mode
#
# **Predict:** a pod, a node and an outsider each call both ports. Which of the six calls go through the balancer? Write it down:
# you are about to count.

# %% language="bash"
# for caller in shop-1 node-1 outside; do
#     for port in 80 8080; do
#         echo "$caller, port $port: $(ip netns exec $caller curl -sS -m 2 203.0.113.10:$port 2>&1)"
#     done
# done

# %% [markdown]
# All six are answered. Now ask the balancer what it saw. `accepted` counts connections that arrived there.

# %%
lab.balancer.counts()

# %% [markdown]
# Three on port 80, but only **one** on port 8080. The pod and the node called the API by its public address, and their packets
# never left the cluster: kube-proxy knows that 203.0.113.10:8080 *is* the Service `api`, and rewrites it at once. It is a
# short cut, and a welcome one: no detour through the cloud. Only the outsider's call really needed the balancer.
#
# Here is the rule that takes the short cut. Read its conditions carefully; everything in this lesson hangs on them.

# %% language="bash"
# ip netns exec node-1 iptables-legacy-save -t nat | grep 'd 203.0.113.10'

# %% [markdown]
# The rule asks for the address **and** the protocol **and** the port (`--dport 8080`). A packet to port 80 does not match, falls
# through all of kube-proxy's rules, and is routed like any packet to a stranger. Ask the node which way that is:

# %%
lab.route("node-1", "203.0.113.10")

# %% [markdown]
# Out through `eth0`, to the next router, to the balancer. Remember this line.
#
# ## After: IPVS mode
#
# Now switch kube-proxy over. Nothing else changes: same pods, same Services, same balancer, same address.
#
# **Predict** again: six calls. Which fail?

# %%
lab.switch("ipvs", scheduler="rr")

# %% language="bash"
# for caller in shop-1 node-1 outside; do
#     for port in 80 8080; do
#         echo "$caller, port $port: $(ip netns exec $caller curl -sS -m 2 203.0.113.10:$port 2>&1)"
#     done
# done

# %% [markdown]
# The shop is gone for `shop-1` (a pod) and for `node-1`, and at once: *failed to connect* within a millisecond, not a time-out. So
# somebody answered, and said no. The outsider still shops happily, and the API works for everybody.
#
# **Who said no?** It was not the balancer: count again. One more connection on each port, both the outsider's.

# %%
lab.balancer.counts()

# %% [markdown]
# Neither the pod's nor the node's call to port 80 arrived there. Ask the node for its way again:

# %%
lab.route("node-1", "203.0.113.10")

# %% [markdown]
# **`local`.** The node believes that it *is* 203.0.113.10. Look why:

# %% language="bash"
# ip netns exec node-1 ip -brief address show dev kube-ipvs0
# ip netns exec node-1 ip route show table local dev kube-ipvs0

# %% [markdown]
# IPVS sits at the kernel's *input* hook: it sees only packets that are addressed to the machine itself. So kube-proxy makes every
# Service's address the node's own, on a dummy interface called `kube-ipvs0` that leads nowhere. For a cluster IP that hurts nobody:
# it exists only inside the cluster. But 203.0.113.10 exists outside, and it has more ports than this one Service's.
#
# **An iptables rule takes a port. An interface takes a whole address.** That is the trap. What has the kernel got for each port?

# %% language="bash"
# ip netns exec node-1 ipvsadm -L -n | grep 203.0.113.10
# ip netns exec node-1 ss -Htln 'sport = :80'

# %% [markdown]
# For port 8080, a virtual server: IPVS forwards to a pod. For port 80, nothing: no virtual server, and no program that listens (the
# second command prints no line). So who spoke? Record what passes the node's interfaces while the pod calls.

# %% language="bash"
# ip netns exec node-1 timeout 2 tcpdump -lni any host 203.0.113.10 2>/dev/null &
# sleep 0.5
# ip netns exec shop-1 curl -s -m 1 203.0.113.10:80
# wait

# %% [markdown]
# The SYN comes in by the pod's cable and the bridge, and by the same way an ICMP *port unreachable* goes back, in the name of
# 203.0.113.10. No line names `eth0`: the packet never left the node. And it is not TCP's own answer (that would be a reset, `[R]`):
# a rule said it. Here it is, with its counters:

# %% language="bash"
# ip netns exec node-1 iptables-legacy -nvL KUBE-IPVS-FILTER | grep -e pkts -e REJECT

# %% [markdown]
# Here is the packet's whole way, step by step. Find the step that makes it `local`, and the one that ends it:

# %%
from labkit import show_journey

with lab.journey("shop-1", service="203.0.113.10:80") as journey:
    pass
show_journey(journey)

# %% [markdown]
# `KUBE-IPVS-IPS` is the set of all addresses on `kube-ipvs0`. What is new, goes to one of them, and is no Service's port is
# rejected. kube-proxy has this rule for a reason: without it, a call to *any* port of a Service's address would reach whatever
# program happens to listen on the node.
#
# And the outsider? Its packets go straight to the balancer, which is a machine of its own. The balancer then calls a *node port*: an
# address of the node, port 30080. Nobody there ever asks for 203.0.113.10. So outsiders cannot see the difference, and nor can your
# monitoring if it looks from outside.
#
# ## Break it further
#
# It is three in the morning, and somebody mends it by deleting the address. Try it. Then let kube-proxy look at the node again, as
# it does every half a minute.

# %% language="bash"
# ip netns exec node-1 ip address del 203.0.113.10/32 dev kube-ipvs0
# for port in 80 8080; do ip netns exec shop-1 curl -sS -m 2 203.0.113.10:$port; done

# %%
lab.proxy["node-1"].resync()
lab.route("node-1", "203.0.113.10")

# %% [markdown]
# With the address gone both ports answer: the shop through the balancer, and the API too, through the balancer's detour. But
# kube-proxy compares the node with what it wants and binds the address again: rules made by hand do not last on a node that is
# managed. A way out has to be something that kube-proxy *knows*.
#
# ## Three ways out
#
# 1. **Another mode.** iptables and nftables mode match address and port. You have seen the first; try the second:

# %%
lab.switch("nftables")
lab.route("node-1", "203.0.113.10")

# %% [markdown]
# 2. **Two addresses.** The Ingress gets one of its own. It costs a second address, and it is what the cloud's sentence asks for.

# %%
lab.close()
lab = Lab.open("ingress-two-addresses", mode="ipvs")
{address: lab.route("shop-1", address) for address in lab.balancer.addresses}

# %% language="bash"
# ip netns exec node-1 ip -brief address show dev kube-ipvs0
# ip netns exec shop-1 curl -sS -m 2 203.0.113.20:80
# ip netns exec shop-1 curl -sS -m 2 203.0.113.10:8080

# %% [markdown]
# 3. **Tell kube-proxy to keep out.** Since Kubernetes 1.30 (beta, on by default) a cloud may write `ipMode: Proxy` beside the address
#    in the Service's status: the balancer terminates connections itself, so nobody may take a short cut past it.

# %%
lab.close()
lab = Lab.open("ingress-ipmode-proxy", mode="ipvs")
lab.route("node-1", "203.0.113.10")

# %% [markdown]
# **Predict:** now a pod calls the API on port 8080. Does the balancer count it?

# %% language="bash"
# for port in 80 8080; do ip netns exec shop-1 curl -sS -m 2 203.0.113.10:$port; done

# %%
lab.balancer.counts()

# %% [markdown]
# It does: the short cut is gone with the trap. Every call to the public address now leaves the cluster and comes back, which costs
# a detour and an address translation; look at the caller (`peer`) that the pod saw. No way out is free:
#
# | way out | shop from inside | API from inside | what it costs |
# |---|---|---|---|
# | iptables or nftables mode | through the balancer | short cut | IPVS's schedulers |
# | two addresses | through the balancer | short cut | a second address |
# | `ipMode: Proxy` | through the balancer | through the balancer | the short cut; your cloud must support it |

# %% [markdown]
# ## Your turn: predict
#
# Another cluster, another mode, other addresses. Read the manifest, then say for each of six calls who deals with it: the
# `"balancer"`, a `"short cut"` (kube-proxy's, past the balancer), or `"nobody"`. `"pod 80"` is a pod that calls the Ingress, at
# `task.app_address`; the other port is the Service's, at `task.api_address`.

# %%
from labkit.grade import check, draw

task = draw("10-who-answers")
print(task.mode, task.app_address, task.api_address)
print(task.manifest.text)

# %% nbgrader={"grade": false, "grade_id": "10-who-answers", "locked": false, "schema_version": 3, "solution": true, "task": false}
predicted = dict.fromkeys(task.calls, "?")
### BEGIN SOLUTION
is_proxied = "ipMode: Proxy" in task.manifest.text
is_trap = task.mode == "ipvs" and task.app_address == task.api_address and not is_proxied
for call in task.calls:
    who, port = call.split()
    inside = {"80": "nobody" if is_trap else "balancer"}.get(port, "balancer" if is_proxied else "short cut")
    predicted[call] = "balancer" if who == "outside" else inside
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check-10-who-answers", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("10-who-answers")

# %% [markdown]
# ## Your turn: a way out
#
# This cluster is in the trap, and it has to stay in IPVS mode. What your cloud can do is in `task`: perhaps it has a second address for
# you, perhaps it understands `ipMode: Proxy`, but not both. Put the mended manifest's text into `mended`. You may edit the text by hand, or
# with Python's `replace`; try it with `Lab.open(mended, mode="ipvs")` and `curl` before you check.

# %%
task = draw("10-way-out")
print(task.manifest.text)
print(task.addresses, task.cloud_knows_ip_mode)

# %% nbgrader={"grade": false, "grade_id": "10-way-out", "locked": false, "schema_version": 3, "solution": true, "task": false}
mended = task.manifest.text
### BEGIN SOLUTION
if task.cloud_knows_ip_mode:
    mended = task.manifest.text.rstrip() + "\n        ipMode: Proxy\n"
else:
    before, ingress = task.manifest.text.split("kind: Ingress")
    mended = before + "kind: Ingress" + ingress.replace(*task.addresses, 1)
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check-10-way-out", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
check("10-way-out")

# %% [markdown]
# ## Start over
#
# This puts the lab back as it was opened last.

# %%
lab.reset()

# %% [markdown]
# ## What you found
#
# 1. The balancer's counters tell who took which way: a call that is not counted was intercepted on its own node.
# 2. In IPVS mode kube-proxy binds every Service address, load balancer addresses too, to `kube-ipvs0`; `ip route get` says `local`.
# 3. The interface takes the whole address, an iptables rule only one port of it. On other ports the caller's own node rejects
#    (`KUBE-IPVS-FILTER`). Outsiders reach the balancer first, and it calls node ports: they see no difference.
# 4. Out of it: another mode, a second address, or `ipMode: Proxy`. Deleting the address by hand lasts until kube-proxy's next look.
#
# **Further reading:** [KEP-1860](https://github.com/kubernetes/enhancements/tree/master/keps/sig-network/1860-kube-proxy-IP-node-binding),
# which brought `ipMode`; [Virtual IPs and Service Proxies](https://kubernetes.io/docs/reference/networking/virtual-ips/).
