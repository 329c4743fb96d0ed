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
# # Who does a pod believe is calling, when the call comes from outside?
#
# **Time:** 35 to 45 minutes. **You need:** lessons 01 and 02. **Choose the kernel "Lab"** (top right).
#
# Your web shop logs its visitors' addresses, and they are all the same: those of your own nodes. Somebody finds a setting,
# `externalTrafficPolicy: Local`; now the log is right, and every second health check of a node fails. Nothing is broken. You
# have bought one thing with another.
#
# When you are done you can
#
# 1. follow a call through node port, external policy and load balancer, in iptables and in IPVS mode,
# 2. predict for each policy which caller a pod sees, and which calls nobody answers,
# 3. say what a health check node port is for, and read one,
# 4. explain how each mode keeps a client with its pod (session affinity), and for how long.

# %%
from labkit import Lab, show_topology

lab = Lab.open("outside", mode="iptables")
show_topology(lab)

# %% [markdown]
# ## Any node will do: policy Cluster
#
# The Service `open` has four pods, two on each node, and node port 30080. **Predict:** an outsider calls `node-1`'s port four times.
# Whom do the pods see as their caller (`peer`)?

# %% language="bash"
# for call in 1 2 3 4; do ip netns exec outside curl -s 172.18.0.11:30080; done

# %% [markdown]
# Never the outsider (172.18.255.128), always `node-1`: by its address on the lan, or, for its own pods, by its end of their bridge. You know
# why from lesson 01: an answer has to come back through the node that rewrote the call, so the node puts its own address in.
#
# ## Only my own pods: policy Local
#
# `local` has one pod, on `node-1`, and `externalTrafficPolicy: Local`: a node passes outside calls to its **own** pods only. **Predict:**
# what does the pod see now? And what happens at `node-2`, which has none?

# %% language="bash"
# for node in 172.18.0.11 172.18.0.12; do
#     ip netns exec outside curl -s -m 1 $node:30081 || echo "$node: no answer"
# done

# %% [markdown]
# The pod sees the outsider as it is. It can: pod and rewriting node are the same machine, so every answer passes it anyhow. And
# `node-2` does not answer at all. It does not even refuse; look for the rule that drops the call:

# %% language="bash"
# ip netns exec node-2 iptables-legacy-save -t filter | grep 'default/local'

# %% [markdown]
# A drop, not a reject: a caller who hears nothing tries again a moment later, and by then the balancer may have found another node.
#
# ## How does a load balancer know which node to use?
#
# It asks. For such a Service kube-proxy opens one more port on each node, the *health check node port*, here 32000:

# %% language="bash"
# for node in 172.18.0.11 172.18.0.12; do
#     ip netns exec outside curl -s -o /dev/null -w "$node: %{http_code}\n" $node:32000
# done

# %% [markdown]
# 200 where there is a pod, 503 where there is none. That is the "failing health check": it is not a fault, it is the answer. The
# balancer of this lab asks every two seconds; so all its calls go to `node-1`:

# %% language="bash"
# for call in 1 2 3 4; do ip netns exec outside curl -s 203.0.113.20; done

# %%
lab.balancer.counts()["203.0.113.20:80/TCP"]

# %% [markdown]
# What the pod sees now is the **balancer's** address (172.18.254.1): this balancer is a proxy, it makes connections of its own. The policy
# keeps what arrives at the node. To carry the customer's address through a proxy is a matter for HTTP headers or the PROXY protocol.
#
# ## Break it: the pod moves
#
# Watch what the balancer does when its only node loses its pod. **Predict** the health check's answer, and that of a call.

# %%
lab.set_endpoint("local-1", "removed")

# %% language="bash"
# ip netns exec outside curl -s -o /dev/null -w "node-1: %{http_code}\n" 172.18.0.11:32000
# sleep 3
# ip netns exec outside curl -s -m 2 203.0.113.20 || echo "no answer"

# %%
lab.set_endpoint("local-1", "ready")

# %% [markdown]
# ## The same in IPVS mode
#
# **Predict:** which of these calls changes, if any? The last one comes from a *node*, to the load balancer's address.

# %% language="bash"
# ip netns exec outside curl -s -m 1 172.18.0.11:30081 || echo "no answer"
# ip netns exec outside curl -s -m 1 172.18.0.12:30081 || echo "no answer"
# ip netns exec node-2 curl -s -m 1 203.0.113.20 || echo "no answer"

# %%
lab.switch("ipvs")

# %% language="bash"
# ip netns exec outside curl -s -m 1 172.18.0.11:30081 || echo "no answer"
# ip netns exec outside curl -s -m 1 172.18.0.12:30081 || echo "no answer"
# ip netns exec node-2 curl -s -m 1 203.0.113.20 || echo "no answer"

# %% [markdown]
# Outsiders see the same. But a program on `node-2` itself is lost in IPVS mode. Look at what `node-2` has for that address:

# %% language="bash"
# ip netns exec node-2 ipvsadm -L -n -t 203.0.113.20:80
# ip netns exec node-2 ip route get 203.0.113.20

# %% [markdown]
# There is a pod in its table after all, `local-1` on the other node: where a node has none of its own, IPVS mode falls back to all. But
# nothing masquerades such a call. And `node-2`, which believes that it *is* 203.0.113.20, has taken that very address as its own source
# (`src`). The pod's node believes the same of itself: a packet from its own address, by the cable? A forgery (lesson 01). In iptables mode kube-proxy marks what its own node
# sends to such an address, for masquerade, and lets it use all pods.

# %% [markdown]
# ## Staying with one pod
#
# `sticky` says `sessionAffinity: ClientIP`, for 4 seconds. **Predict:** three calls, then a pause of five seconds, then three more.

# %% language="bash"
# for call in 1 2 3; do ip netns exec client curl -s 10.96.0.30; done
# sleep 5
# for call in 1 2 3; do ip netns exec client curl -s 10.96.0.30; done

# %% [markdown]
# The same pod three times, then another choice (which may be the same pod again). IPVS calls it *persistence*, and it is a part of the
# virtual server:

# %% language="bash"
# ip netns exec node-1 ipvsadm -L -n -t 10.96.0.30:80

# %% [markdown]
# In iptables mode there is no such thing, so kube-proxy builds it from the `recent` match: each pod's chain keeps a list of the callers
# that it had, with their times, and the Service's chain asks all of these lists **before** it rolls dice.

# %%
lab.switch("iptables")

# %% language="bash"
# ip netns exec node-1 iptables-legacy-save -t nat | grep sticky | grep -e rcheck | head -2
# ip netns exec client curl -s 10.96.0.30

# %% [markdown]
# Remember what *client* means here: an address. All visitors behind one company's router are one client, and go to one pod.

# %% [markdown]
# ## Your turn: predict
#
# Another cluster with one pod and two Services, one of each policy, in a mode that was drawn for you. For each of six calls say whom the
# pod sees: `"caller"` (the caller's own address), `"node"` (a node's), or `"nobody"` if no call arrives. Read the manifest: which node is
# the pod on? `"outside node-1 cluster"` is an outsider's call to `node-1`, at the node port of the Service with policy Cluster;
# `"pod itself"` is the pod that calls its own Service's cluster IP; `"client"` is another pod that calls it.

# %%
from labkit.grade import check, draw

lab.close()
task = draw("09-who-is-seen")
print(task.mode, task.calls)
print(task.manifest.text)

# %% nbgrader={"grade": false, "grade_id": "09-who-is-seen", "locked": false, "schema_version": 3, "solution": true, "task": false}
seen = dict.fromkeys(task.calls, "?")
### BEGIN SOLUTION
home = "node-1" if "nodeName: node-1" in task.manifest.text else "node-2"
for call in task.calls:
    who, *where = call.split()
    if who == "outside":
        node, policy = where
        seen[call] = "node" if policy == "cluster" else "caller" if node == home else "nobody"
    else:
        seen[call] = "node" if who == "pod" else "caller"
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check-09-who-is-seen", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("09-who-is-seen")

# %% [markdown]
# ## Start over
#
# This puts the lab back as it was opened last.

# %%
lab.reset()

# %% [markdown]
# ## What you found
#
# 1. A node port is taken by every node. Cluster passes the call to any pod, and masquerades it; Local to the node's own pods only, as it
#    is.
# 2. Cluster: the pod sees a node. Local: it sees who called the node, and nodes without a pod drop the call.
# 3. The health check node port says 200 or 503, so that a balancer uses only nodes with a pod.
# 4. Affinity is persistence in IPVS and lists of `recent` callers in iptables; a client is an address; it ends so long after its last
#    connection.
#
# **Further reading:** [Source IP](https://kubernetes.io/docs/tutorials/services/source-ip/) and
# [session affinity](https://kubernetes.io/docs/reference/networking/virtual-ips/#session-affinity) in Kubernetes' documentation.
