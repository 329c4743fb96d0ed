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
# # "Sometimes it is slow": where do you begin, and how do you know that you are done?
#
# **Time:** 90 to 120 minutes, with a break between the two parts. **You need:** lessons 01 to 05. **Choose the kernel "Lab"** (top right).
#
# This is the last lesson, and most of it is yours. In the first part somebody has broken a cluster, in three places, and three people
# complain. You find what it is and mend it. In the second part you write a load balancer's heart yourself: four schedulers, in Python,
# that choose as the kernel does, connection by connection.
#
# Nothing here needs luck or memory. It needs a method: four questions, always in the same order, from the outside in. We practise them
# together once.
#
# When you are done you can
#
# 1. get from a complaint to the node, the hook and the line that causes it, with four questions,
# 2. use a healthy node as the witness against a sick one,
# 3. mend what is broken and nothing else, and prove it,
# 4. write a scheduler that makes the kernel's very choices.

# %%
from labkit import Lab, show_topology

lab = Lab.open("web")
show_topology(lab)

# %% [markdown]
# ## Practice: one fault, four questions
#
# Somebody "only added a firewall rule" to a node:

# %% language="bash"
# ip netns exec node-1 iptables-legacy -I FORWARD -d 10.244.2.2 -p tcp --dport 8080 -j DROP

# %% [markdown]
# Now `node-1` throws away whatever it should forward to `web-2`, one of four pods.
#
# **Predict:** 100 callers try the Service, and each waits for up to six seconds. How many get no answer at all?

# %%
patient = lab.measure("web", connections=100, timeout_s=6)
patient.answers, patient.errors

# %%
hasty = lab.measure("web", connections=100, timeout_s=0.5)
hasty.answers, hasty.errors

# %% [markdown]
# None, or nearly none! But of those who wait only half a second a quarter fails. What happened? See how long the patient ones waited:

# %%
from labkit import show_latency

show_latency(patient, "connect")

# %% [markdown]
# Most of them hardly at all, and some a full second, or two.
#
# A caller whose first packet is lost sends it again, after a second, and then (on this Linux) after another. This node threw the packet
# away itself, and connection tracking keeps an entry only when its packet gets through the node. So for iptables the second packet is a **new** connection:
# the dice are thrown again, and three of four times another pod comes up. A dead way does not look like an error then. It looks *slow*: one
# second, two seconds, for some. Remember that when somebody says "sometimes it is slow".
#
# (Not every dead way is like that. Where the packet is lost *after* it has left the node, the entry is there, and the second packet
# follows the first one to the same pod. And IPVS remembers whom it chose in any case. There a quarter of the callers gets no answer at all.)
#
# So ask with little patience: `curl -m 0.5`, half a second.
#
# ### Question 1: who has the problem, and who has not?
#
# The node that a caller's packets come to first does all the work: it chooses the pod, rewrites the address, and keeps the memory. So
# ask from each node, and from outside. `client` stands as a pod on `node-1`, `web-2` is a pod on `node-2`.

# %% language="bash"
# for call in {1..8}; do ip netns exec client curl -s -m 0.5 10.96.0.10 || echo "no answer"; done

# %% language="bash"
# for call in {1..8}; do ip netns exec web-2 curl -s -m 0.5 10.96.0.10 || echo "no answer"; done

# %% [markdown]
# (Eight calls may be lucky: try again if you see nothing.) Callers on `node-2` are fine, whatever pod they get. So it is **`node-1`** that is
# ill, not the pods and not the Service's definition: those are the same for everybody.
#
# ### Question 2: which answer is missing?
#
# All of them, one pod's, or all of one node's pods? You have seen it above, in `hasty.answers`: `web-2` never answers. Now leave the
# Service out and call the pod itself:

# %% language="bash"
# ip netns exec client curl -s -m 0.5 10.244.2.2:8080 || echo "no answer"

# %% [markdown]
# The pod's own address fails, too. So the Service is innocent: the fault lies **below** kube-proxy, on the way to the pod. (Had this call been
# answered, you would now look at kube-proxy's rules instead.) One call has halved the search.
#
# ### Question 3: how far does the packet come?
#
# Let one packet tell you, hook by hook. **Predict:** what will be the last thing that happens to it?

# %%
with lab.journey("client", service="10.244.2.2:8080") as journey:
    pass
print(journey.text())

# %% [markdown]
# There it is. It will not always be so clear: a frame that goes to a wrong hardware address just leaves, and no node takes it in. But you
# see the **last place where all was well**, and that is where you look.
#
# ### Question 4: what does this node hold that its neighbour does not?
#
# You have a healthy twin of the sick node right beside it. Let the machine compare. (`|| true`, because `diff` ends with an error where it
# finds something.)

# %% language="bash"
# show() { ip netns exec $1 iptables-legacy -S FORWARD; }
# diff <(show node-1) <(show node-2) || true

# %% [markdown]
# One line. And kube-proxy's own rules? **Predict:** how many lines of the `nat` table differ between the nodes?

# %% language="bash"
# show() { ip netns exec $1 iptables-legacy -t nat -S; }
# diff <(show node-1) <(show node-2) && echo alike

# %% [markdown]
# None. In iptables mode kube-proxy wrote the same rules on both nodes (a Service with a policy `Local` would make a difference): a gift for you. In the
# other two modes a few things differ by right: the node's own address, and in IPVS mode the ipset `KUBE-LOOP-BACK`, which names a node's own
# pods. Routes and neighbours mirror each other. What is left over is your suspect.
#
# ### Mend it, and prove it
#
# Take away exactly that line. Then ask question 1 again, *and* question 4. Calls that work show that you mended something; only the
# comparison shows that you broke nothing else. (To flush the whole chain would have let the calls through as well, and thrown away
# kube-proxy's four rules with it.)

# %% language="bash"
# ip netns exec node-1 iptables-legacy -D FORWARD -d 10.244.2.2 -p tcp --dport 8080 -j DROP
# show() { ip netns exec $1 iptables-legacy -S FORWARD; }
# diff <(show node-1) <(show node-2) && echo alike

# %%
lab.measure("web", connections=100, timeout_s=0.5).errors

# %% [markdown]
# ## Where to look
#
# What the four questions told you, and where a cause may hide. It is a list of doors, not of culprits.
#
# | you know | look at |
# |---|---|
# | pods themselves cannot be called, all or one node's | `ip route get ADDRESS`, `ip neighbour`, `sysctl net.ipv4.ip_forward`, `iptables-legacy -S FORWARD` |
# | one pod cannot be called | the same, for its address |
# | pods can be called, the Service's address cannot, or not always | does the node know it? `iptables-legacy -t nat -S KUBE-SERVICES`; `ipvsadm -L -n` and `kube-ipvs0`; `nft list map ip kube-proxy service-ips` |
# | some calls are *refused* | where does each choice lead? the DNAT rules, the real servers |
# | all are answered, but not evenly | who chooses, and how? probabilities; schedulers and weights; `numgen` |
# | only from outside, and only pods on the other node | whose address does the pod see? masquerade, its mark, its ipsets, `net.ipv4.vs.conntrack` |
# | a pod does not reach itself | masquerade again (whose mark, which set?), and `bridge -d link`: may a frame go back where it came from? |
#
# nftables mode has one table of its own, `ip kube-proxy`, with the steps that you know under other names. `services` looks the address up
# in the map `service-ips`, and a node port in `service-nodeports`; `service-...` throws the dice (`numgen random`); `endpoint-...` marks
# the hairpin and rewrites the address; `masquerading` is what KUBE-POSTROUTING was. Two more maps name what is not let
# in: `firewall-ips`, which is asked before the address is rewritten, and `no-endpoint-services`. `nft list table ip kube-proxy` shows all of it, `nft -a list
# chain ip kube-proxy NAME` one chain, with the numbers (*handles*) by which a rule can be deleted or replaced.

# %% [markdown]
# ## Your turn: three complaints
#
# This opens your own broken cluster, two nodes and two Services, in the mode that it says. (Your neighbour has other faults.)

# %%
from labkit.grade import check, draw, open_lab

lab.close()
task = draw("12-three-faults")
lab = open_lab("12-three-faults")
lab

# %%
for complaint in task.complaints:
    print(complaint)

# %% [markdown]
# One fault lies in the network below, two in what kube-proxy wrote or in what stands beside it. Each complaint is true, but one fault may hide
# another: what you mend first may make the next one visible. All three are on the nodes; pods, clients and manifests are in order.
#
# Explore as long as you like, in as many cells as you like (the button + above makes one), or in a terminal: `labkit attach` opens one
# inside this lab. If you have made it worse, run the cell with `open_lab` again: it breaks the same three things in a new cluster. You
# begin with the names of all places that you can ask from:

# %% language="bash"
# ip netns

# %% [markdown]
# Your answer is the commands that mend it, as you would type them: one each line, each with `ip netns exec NODE` before it. So
#
# ```
# ip netns exec node-2 ip route add 203.0.113.0/24 via 172.18.0.11
# ```
#
# would be one. `ip`, `bridge`, `sysctl`, `iptables-legacy`, `ipset`, `ipvsadm` and `nft` are allowed; no pipes, no loops, nothing that only looks. The check
# builds your cluster anew, breaks it, gives your commands and compares: each fault that is gone, with the nodes holding what they held
# before, counts 2 points. One more is for having changed nothing else. Comments in rules do not matter.

# %% nbgrader={"grade": false, "grade_id": "12-three-faults", "locked": false, "schema_version": 3, "solution": true, "task": false}
mends = """
"""
### BEGIN SOLUTION
from labkit.grade.exercises.e12_three_faults import model_answer

mends = model_answer()
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check-12-three-faults", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
check("12-three-faults")

# %% [markdown]
# ## The heart of a load balancer
#
# Time for a break, and then for something quite different. You know what `wrr`, `wlc`, `sed` and `nq` do (lessons 04 and 05). Do you know it
# well enough to *be* one?
#
# A few facts decide the last doubts. IPVS keeps its real servers in a list, and **the one added last stands first**. Where two servers are
# equally good, the first in the list is chosen. **Predict:** four pods of equal weight, `wlc`, and one call after the other. All are idle.
# Who gets the first, and will the same pod get the second as well?

# %%
lab.close()
lab = Lab.open("web", mode="ipvs", scheduler="wlc")
turns = lab.measure("web", connections=8, concurrency=1)
[flow.pod.removeprefix("default/") for flow in turns.flows]

# %% language="bash"
# ip netns exec node-1 ipvsadm -L -n --nosort -t 10.96.0.10:80

# %% [markdown]
# That is IPVS's own list (without `--nosort` you see it sorted): kube-proxy added the pods in the order of their addresses, so the highest
# stands first, and was chosen first.
#
# And the second call went elsewhere, because a connection that has ended is not forgotten. It stays for a while as *inactive*, and `wlc` counts
# it, a little. How little? In the Linux of this lab (7.2) an active connection counts as much as **257** inactive ones: with 256 of them on one
# server, and one active connection on another, the first was still chosen; with 257 they were equal. (Lesson 04 said: roughly 256.) So:
#
# | scheduler | chooses the server with the least | of equals |
# |---|---|---|
# | `wlc` | (257 x active + inactive) / weight | the first in the list |
# | `sed` | (active + 1) / weight | the first in the list |
# | `nq` | nothing, if it is idle (no active connection); else as `sed` | the first in the list |
#
# `wrr` looks at no connection. It goes down the staircase from lesson 04: from the greatest weight downwards, and at each step once through
# the list, taking every server whose weight reaches the step. The steps are as high as the **greatest common divisor** of the weights:
# weights 6 and 4 are the same as 3 and 2.
#
# And a server of weight 0 gets nothing new, from any of the four.
#
# ## Your turn: be the scheduler
#
# Given are servers in the order of IPVS's list, and what happens to them. `["open", 7]`: connection 7 opens, and a server must be chosen.
# `["close", 7]`: it ends, wherever it was.

# %%
task = draw("12-scheduler")
task.servers

# %%
print(task.events)


# %% [markdown]
# Write it in three steps. First `turns(servers)`, a generator: it yields `wrr`'s choices, one after the other, without end. A server is a
# dictionary with `"name"` and `"weight"`. (Servers of weight 0 you may leave out before you call it.)


# %% nbgrader={"grade": false, "grade_id": "12-scheduler-turns", "locked": false, "schema_version": 3, "solution": true, "task": false}
def turns(servers):
    """Yield the server whose turn it is, again and again."""
    ### BEGIN SOLUTION
    from math import gcd

    weights = [server["weight"] for server in servers]
    while True:
        for step in range(max(weights), 0, -gcd(*weights)):
            yield from (server for server in servers if server["weight"] >= step)
    ### END SOLUTION


# %% [markdown]
# Then `load(scheduler, server)`, for the other three: a number, and the server with the smallest is chosen. Here a server has `"active"` and
# `"inactive"`, too.


# %% nbgrader={"grade": false, "grade_id": "12-scheduler-load", "locked": false, "schema_version": 3, "solution": true, "task": false}
def load(scheduler, server):
    """Return what wlc, sed or nq compares."""
    ### BEGIN SOLUTION
    active, inactive, weight = server["active"], server["inactive"], server["weight"]
    if scheduler == "wlc":
        return (257 * active + inactive) / weight
    if scheduler == "nq" and active == 0:
        return 0
    return (active + 1) / weight
    ### END SOLUTION


# %% [markdown]
# Last, `choose(scheduler, servers, events)`: go through the events, keep count, and return the names of the chosen servers, one for each
# connection in the order in which they opened. A connection is active from its opening to its end, and inactive from then on.
#
# Python's `min(servers, key=...)` returns the first of equals, as IPVS does.


# %% nbgrader={"grade": false, "grade_id": "12-scheduler", "locked": false, "schema_version": 3, "solution": true, "task": false}
def choose(scheduler, servers, events):
    """Return the names of the servers that one scheduler chooses."""
    ### BEGIN SOLUTION
    servers = [dict(one, active=0, inactive=0) for one in servers if one["weight"]]
    order, chosen = turns(servers), []
    for what, number in events:
        if what == "open":
            least = min(servers, key=lambda server: load(scheduler, server))
            chosen.append(next(order) if scheduler == "wrr" else least)
        chosen[number]["active"] += 1 if what == "open" else -1
        chosen[number]["inactive"] += what == "close"
    return [server["name"] for server in chosen]
    ### END SOLUTION


# %% [markdown]
# The check asks for all four at once, for three sets of servers and events (you see one of them), and lets the same happen to a real virtual
# server, connection by connection. One choice that differs, and the scheduler is not the kernel's.


# %%
def choose_servers(servers, events):
    """Return the choices of each scheduler."""
    return {name: choose(name, servers, events) for name in ("wrr", "wlc", "sed", "nq")}


# %% nbgrader={"grade": true, "grade_id": "check-12-scheduler", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("12-scheduler")

# %% [markdown]
# ## Start over
#
# This puts the lab back as it was opened last.

# %%
lab.reset()

# %% [markdown]
# ## What you found
#
# 1. Four questions: who has the problem, which answer is missing, how far does the packet come, what does this node hold that its
#    neighbour does not?
# 2. Where a node itself drops what iptables sent to a pod, the Service looks slow, not broken: the repeated packet throws the dice again.
# 3. Calling a pod by its own address tells whether kube-proxy or the network below it is to blame.
# 4. You are done when calls work *and* nothing else has changed.
# 5. A scheduler is a dozen lines. What makes it the kernel's are the small things: the order of the list, equals, what has ended, weight 0.
#
# **Further reading:** [Debug Services](https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/) in Kubernetes' documentation, which
# asks many of the same questions; `labkit.algorithms`, where the kernel's other schedulers are written in Python.
