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
# # What is the least that a node must do, so that an address which nobody has is answered by a pod?
#
# **Time:** 40 to 50 minutes. **You need:** lesson 00. **Choose the kernel "Lab"** (top right).
#
# A Service's address belongs to nobody, and yet it is answered. Before you read the rules that kube-proxy writes, write your own: one
# at a time, each because something does not work without it. At the end you will have met every trick that kube-proxy knows.
#
# When you are done you can
#
# 1. rewrite a destination (DNAT), and say what the kernel does with the answers,
# 2. say why the node's own programs need a rule of their own,
# 3. see in `tcpdump` why a caller from outside needs masquerade, and why a pod that calls itself does,
# 4. make a node port that works for everybody.

# %%
from labkit import Lab, show_topology

lab = Lab.open("pods")
show_topology(lab)

# %% [markdown]
# Two nodes, two pods, and **no Service at all**. Pods answer at their own addresses:

# %% language="bash"
# ip netns exec client curl -s 10.244.1.2:8080
# ip netns exec client curl -s 10.244.2.2:8080

# %% [markdown]
# ## One rule
#
# We want the address **10.96.0.50**, port 80, to lead to `web-2`. **Predict** what a call to it does now: is it refused, or does it
# hang?

# %% language="bash"
# ip netns exec client curl -sS -m 1 10.96.0.50 2>&1 || true

# %% [markdown]
# It hangs: the packet goes out, nobody has the address, nobody answers. Now one rule on `node-1`: *what comes in for 10.96.0.50 port 80
# gets another destination.*

# %% language="bash"
# ip netns exec node-1 iptables-legacy -t nat -A PREROUTING \
#     -d 10.96.0.50 -p tcp --dport 80 -j DNAT --to-destination 10.244.2.2:8080
# ip netns exec client curl -sS -m 1 10.96.0.50

# %% [markdown]
# One rule, and it is a Service. But wait: the client asked 10.96.0.50, and `web-2` answers from 10.244.2.2. **Predict:** which source
# address does the client see on the answer? And who changed it, if there is only this one rule?

# %% language="bash"
# ip netns exec client timeout 2 tcpdump -lni eth0 -c 2 tcp port 80 2>/dev/null | cut -d, -f1 &
# sleep 0.7
# ip netns exec client curl -s 10.96.0.50 > /dev/null
# wait

# %% [markdown]
# The answer comes from 10.96.0.50. The kernel remembered what it had done, and undid it on the way back, with no rule. That memory is
# *connection tracking*:

# %% language="bash"
# ip netns exec node-1 conntrack -L -p tcp --orig-dst 10.96.0.50 2>/dev/null | tail -1

# %% [markdown]
# One line, two directions: what the client sent (`dst=10.96.0.50`), and what an answer looks like when it comes in (`src=10.244.2.2`).
#
# ## The node's own programs
#
# A kubelet runs on the node itself. **Predict:** can it call 10.96.0.50?

# %% language="bash"
# ip netns exec node-1 curl -sS -m 1 10.96.0.50 2>&1 || true

# %% [markdown]
# No. PREROUTING is for packets that come *in* by an interface; a packet that a node's program makes never comes in. Its first hook is
# OUTPUT:

# %% language="bash"
# ip netns exec node-1 iptables-legacy -t nat -A OUTPUT \
#     -d 10.96.0.50 -p tcp --dport 80 -j DNAT --to-destination 10.244.2.2:8080
# ip netns exec node-1 curl -sS -m 1 10.96.0.50

# %% [markdown]
# ## A caller from outside
#
# Outsiders cannot send to 10.96.0.50: no router out there knows it. They call an address of the node, at a port of their own: a *node
# port*. Make 30080 one.

# %% language="bash"
# ip netns exec node-1 iptables-legacy -t nat -A PREROUTING \
#     -d 172.18.0.11 -p tcp --dport 30080 -j DNAT --to-destination 10.244.2.2:8080
# ip netns exec outside curl -sS -m 1 172.18.0.11:30080 2>&1 || true

# %% [markdown]
# It hangs. The rule is right; look at what happens at the outsider's cable. **Predict:** does an answer come?

# %% language="bash"
# ip netns exec outside timeout 2 tcpdump -lni eth0 -c 3 tcp 2>/dev/null | cut -d, -f1 &
# sleep 0.7
# ip netns exec outside curl -s -m 1 172.18.0.11:30080
# wait

# %% [markdown]
# An answer comes, but from **10.244.2.2**, a stranger to whom the outsider never spoke. It says so (`R`, reset). Why was the address not
# put back? Because the answer never passed `node-1`: the pod is on `node-2`, knows the way to the outsider, and answers directly.
# Only `node-1` remembers.
#
# So the answer must be made to come back through `node-1`: give the packet `node-1`'s own address as its source. That is *masquerade*.

# %% language="bash"
# ip netns exec node-1 iptables-legacy -t nat -A POSTROUTING \
#     -s 172.18.255.128/26 -d 10.244.2.2 -j MASQUERADE
# ip netns exec outside curl -sS -m 1 172.18.0.11:30080

# %% [markdown]
# It works, and it has a price: look at `peer`. The pod now believes that `node-1` called. It can no longer log who its visitors are, or
# limit them. That is what `externalTrafficPolicy: Local` is about (lesson 09).
#
# ## Two pods
#
# Let half of the calls go to `web-1`. A rule with dice, **before** the other one (`-I` puts it first):

# %% language="bash"
# ip netns exec node-1 iptables-legacy -t nat -I PREROUTING \
#     -d 10.96.0.50 -p tcp --dport 80 \
#     -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.244.1.2:8080
# for call in 1 2 3 4 5 6; do ip netns exec client curl -s -m 1 10.96.0.50; done

# %% [markdown]
# ## A pod that calls itself
#
# Everything works, it seems. Now `web-1`, one of the two pods, calls the Service. **Predict:** what happens in the half of the calls
# in which the dice choose `web-1` itself?

# %% language="bash"
# for call in 1 2 3 4 5 6; do
#     ip netns exec web-1 curl -s -m 0.5 10.96.0.50 || echo "no answer"
# done

# %% [markdown]
# Those hang. Look at the SYNs on the pod's own cable (run the cell again if the dice are kind to you):

# %% language="bash"
# ip netns exec web-1 timeout 3 tcpdump -lni eth0 'tcp[13] == 2' 2>/dev/null | cut -d, -f1 &
# sleep 0.7
# for call in 1 2 3; do ip netns exec web-1 curl -s -m 0.3 10.96.0.50 > /dev/null; done
# wait

# %% [markdown]
# The SYN goes out to 10.96.0.50, and comes back in as *10.244.1.2 to 10.244.1.2*: from the pod to itself, by the cable. The kernel throws it
# away, because a packet from my own address that comes from outside must be a forgery. No reset, no message, just silence: one of
# the nastiest bugs to find in a cluster, since it strikes only some calls, from only some pods.
#
# The cure is masquerade again: hide the pod from itself.

# %% language="bash"
# ip netns exec node-1 iptables-legacy -t nat -A POSTROUTING -s 10.244.1.2 -d 10.244.1.2 -j MASQUERADE
# for call in 1 2 3 4 5 6; do ip netns exec web-1 curl -s -m 1 10.96.0.50; done

# %% [markdown]
# Where it got itself, it saw 10.244.1.1, the node's end of the bridge, as its caller.
#
# ## Break it: rules and memory
#
# Delete the rule while a connection is open. **Predict:** is the connection cut? And the next one?

# %%
import socket

held = lab.clients["client"].run(lambda: socket.create_connection(("10.96.0.50", 80), timeout=2))
# !ip netns exec node-1 iptables-legacy -t nat -F PREROUTING
held.sendall(b"GET / HTTP/1.0\r\n\r\n")
held.recv(1000).decode()

# %% language="bash"
# ip netns exec client curl -sS -m 1 10.96.0.50 2>&1 || true

# %% [markdown]
# The open connection lives on: only its first packet ever asked the rules. New ones hang.

# %% [markdown]
# ## Your turn: a node port for everybody
#
# The next cell opens another cluster without Services. Make port `$NODE_PORT` of `node-1` (address
# `$NODE_ADDRESS`) lead to both pods, `$one` and `$other`:
#
# - for callers from outside and for pods of the cluster, each pod with the same chance,
# - whoever calls that address and port is answered, whichever node the chosen pod is on.

# %%
from labkit.grade import check, draw

lab.close()
task = draw("01-node-port")
lab = Lab.open(task.manifest)
task.export()
task

# %% nbgrader={"grade": false, "grade_id": "01-node-port", "locked": false, "schema_version": 3, "solution": true, "task": false} language="bash"
# nat() { ip netns exec node-1 iptables-legacy -t nat "$@"; }
# read -r one other <<<"$ENDPOINTS"
# ### BEGIN SOLUTION
# port="-d $NODE_ADDRESS -p tcp --dport $NODE_PORT"
# nat -A PREROUTING $port -m statistic --mode random --probability 0.5 -j DNAT --to-destination $one
# nat -A PREROUTING $port -j DNAT --to-destination $other
# nat -A POSTROUTING -m conntrack --ctstate DNAT -j MASQUERADE
# ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check-01-node-port", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("01-node-port")

# %% [markdown]
# ## Start over
#
# This puts the lab back as it was opened last.

# %%
lab.reset()

# %% [markdown]
# ## What you found
#
# 1. DNAT gives a connection's first packet another destination; connection tracking treats the rest alike, and puts the address back
#    in the answers.
# 2. What a node's own programs send passes OUTPUT, not PREROUTING.
# 3. An answer must come back through the node that remembers: masquerade callers from outside. And a pod drops what claims to come
#    from itself: masquerade the hairpin.
# 4. A node port is a DNAT rule for the node's own address, with masquerade, and one rule with dice for each further pod.
#
# **Further reading:** `man iptables-extensions` (DNAT, MASQUERADE, statistic), `man conntrack`.
