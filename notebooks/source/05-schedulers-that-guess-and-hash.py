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
# # Who waits, and who changes pods, if the scheduler guesses or hashes?
#
# **Time:** 50 to 60 minutes. **You need:** lessons 03 and 04. **Choose the kernel "Lab"** (top right).
#
# IPVS has ten more schedulers than the four that you know, and a Service may use any of them. Some guess how long you would wait. Some
# never look at all: they hash your address, so that you always come to the same pod. Some were made for web caches of the nineties and
# do something silly behind a cluster IP. You will find out which is which, by what they do.
#
# When you are done you can
#
# 1. say what `sed` and `nq` guess, and which of your users pays for it,
# 2. compute the kernel's choice under `sh`, for any client, with one multiplication,
# 3. measure how many users change pods when one pod leaves, under `sh` and under `mh`,
# 4. recognise the schedulers that make no sense for a Service: `dh`, `lblc`, `lblcr`, `fo`, `ovf`.

# %% [markdown]
# ## To guess: `sed` and `nq`
#
# Three pods of 5, 10 and 40 ms again, with weights 8, 4 and 1, and users at random, 60 a second (lesson 04). `wlc` compared connections
# per weight. `sed` (*shortest expected delay*) adds **the one that is about to come**: it compares
#
# > (active + 1) / weight
#
# **Predict:** all three pods are idle. Which one does `sed` choose: 1/8, 1/4 or 1/1? How many must be at the fast pod before the slow
# one gets its first?

# %%
from labkit import Experiment, Lab, Workload, run, show_distribution, show_latency

users = Workload(connections=600, arrivals="poisson", rate_per_s=60, clients=64, timeout_s=600)
wlc = run(Experiment.of("unequal", scheduler="wlc", workload=users))

# %%
sed = run(Experiment.of("unequal", scheduler="sed", workload=users))

# %%
nq = run(Experiment.of("unequal", scheduler="nq", workload=users))

# %%
show_distribution([wlc, sed, nq])

# %%
show_latency([wlc, sed, nq], "response")

# %% [markdown]
# `sed` would rather queue at the fast pod (5 ms for each who waits) than wake up the slow one (40 ms for sure). Its worst users are
# served in the time that `wlc` gives only to the lucky ones. `nq` (*never queue*) thinks otherwise: as long as **any** pod is idle, nobody
# shall wait, so it sends users to the idle slow pod, where they are served at once and slowly.
#
# `sed` is only as good as its weights, though: it never looks at the clock. Wrong weights mislead it as they mislead `wrr`.
#
# ## To hash: `sh`
#
# `sh` (*source hashing*) looks at nothing but the client's address. **Predict:** 64 clients call once each, and then once more. How
# many meet the same pod again?

# %%
lab = Lab.open("web", mode="ipvs", scheduler="sh")
first, second = (lab.measure("web", connections=64, clients=64, concurrency=1) for _ in range(2))
sum(one.pod == other.pod for one, other in zip(first.flows, second.flows, strict=True))

# %%
show_distribution(first)

# %% [markdown]
# All of them. The shares are even, too, as long as there are many addresses: the hash throws neighbours far apart. But behind one
# company's router there is **one** client address, and all of its thousand users come to one pod.
#
# How does the kernel do it? There is no magic, only one multiplication. The address is a number of 32 bits. Multiply it by 0x61C88647
# (2 to the 32, divided by the square of the golden ratio), keep 32 bits, and take the uppermost 8: a *place* from 0 to 255. The places
# were dealt out to the pods in turn, beginning with the pod that was **added last**. (kube-proxy adds them in the order of their addresses.)

# %%
from ipaddress import IPv4Address

place = (int(IPv4Address("10.244.1.128")) * 0x61C88647 % 2**32) >> 24
place, place % 4

# %% [markdown]
# Place 110, and 110 mod 4 = 2: the third pod, counted from the one that was added last. Ask the kernel whether the sum is right:

# %%
listed = sorted((pod.address, pod.name) for pod in lab.cluster.pods)[::-1]
listed[place % 4][1], first.flows[0].pod

# %% [markdown]
# ## A pod leaves
#
# **Predict:** five pods, one leaves. A fifth of the users must move: theirs is gone. How many of the *others* move, too, under `sh`? (All
# places are dealt out anew, to four instead of five.) And under `mh`, *Maglev hashing*, where every pod picks places by an order of its
# own?

# %%
from labkit import consistency

sh_moved = consistency(["sh"], flows=300)
sh_moved.rows[0].moved, sh_moved.rows[0].expected_share

# %%
mh_moved = consistency(["mh"], flows=300)
mh_moved.rows[0].moved, mh_moved.rows[0].expected_share

# %% [markdown]
# Under `sh` four of five users change pods when one of five leaves; under `mh` about one of five: hardly more than had to. If your pods hold
# sessions or caches, that is the difference between a hiccup and a storm. (`mh` came from Google's Maglev load balancer. kube-proxy
# sets its flag `mh-port`, so that it hashes the port, too: a client comes to another pod with each connection.)
#
# Something else happens while a pod *drains*: its places stay its own, and who hashes to them is **refused** until it is gone. Neither
# scheduler has the fallback switched on by kube-proxy. Lesson 08 measures that.
#
# ## Made for something else
#
# **Predict**, before each line, how 200 connections to four pods of weight 4, 2, 1 and 1 will be shared:
#
# - `dh`, *destination hashing*: hashes the address that is called,
# - `lblc`, *locality-based least connection*: each destination has its own server, until that is overloaded,
# - `fo`, *weighted fail-over*: the server with the highest weight,
# - `ovf`, *weighted overflow*: the same, until it has as many connections as its weight says,
# - `twos`, *power of two choices*: draws two by weight, takes the less busy one.

# %%
lab.close()
lab = Lab.open("weighted", mode="ipvs", scheduler="dh")
dh = lab.measure("web", connections=200, clients=64)

# %%
runs = [dh]
for scheduler in ("lblc", "fo", "ovf"):
    lab.reset("ipvs", scheduler)
    runs.append(lab.measure("web", connections=200, clients=64))

# %%
if "twos" in lab.schedulers:
    lab.reset("ipvs", "twos")
    runs.append(lab.measure("web", connections=200, clients=64))
show_distribution(runs)

# %% [markdown]
# `dh` and `lblc` were made for *transparent caches*: many destinations, each of which should stay with the cache that knows it. A cluster IP
# is **one** destination. So `dh` sends everyone to one pod, for ever, and `lblc` until that pod has more than it can take. `fo` sends all
# to the heaviest and uses the others only when it is gone: a stand-by, not a load balancer. `ovf` fills one after the other.
#
# `twos` is a clever lottery: two tickets, and a look at both. It needs no list of all pods in order and is nearly as good as `wlc`.
#
# ## Break it: hashing and a dead pod
#
# A pod's program dies and nobody notices (there is no readiness probe here). **Predict:** with `rr` one call in four fails. With `sh`?

# %%
lab.close()
lab = Lab.open("web", mode="ipvs", scheduler="sh")
lab.kill("web-1")
failed = lab.measure("web", connections=64, clients=64, concurrency=1)
failed.errors

# %% [markdown]
# About as many, but always **the same users**, however often they try again. An average hides that: for three quarters of them the
# Service is perfect, for the others it is down.

# %% [markdown]
# ## Your turn: choose as the kernel does
#
# Write `choose_pods(clients, pods)`: for each client's address in `clients` the name of the pod that `sh` chooses, as a list. `pods` are the names in the
# order in which IPVS holds them: the one added last comes first, and gets place 0.

# %%
from labkit.grade import check, draw

task = draw("05-source-hash")
task.pods, task.clients[:3]


# %% nbgrader={"grade": false, "grade_id": "05-source-hash", "locked": false, "schema_version": 3, "solution": true, "task": false}
def choose_pods(clients, pods):
    """Return the pod that sh chooses for each client."""
    ### BEGIN SOLUTION
    places = [(int(IPv4Address(client)) * 0x61C88647 % 2**32) >> 24 for client in clients]
    return [pods[place % len(pods)] for place in places]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-05-source-hash", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("05-source-hash")

# %% [markdown]
# ## Start over
#
# This puts the lab back as it was opened last.

# %%
lab.reset()

# %% [markdown]
# ## What you found
#
# 1. `sed` counts the one who is about to come and leaves slow pods idle; `nq` never leaves an idle pod out. With right weights `sed`
#    has the better p99 here, `nq` the shorter queue.
# 2. `sh`: address x 0x61C88647, the uppermost 8 of 32 bits, dealt out in turn. Blind to load, and unfair with few addresses.
# 3. When one of five leaves, `sh` moves four fifths of all flows and `mh` about one fifth.
# 4. Behind a cluster IP `dh` and `fo` use one pod, and `lblc` and `ovf` prefer one until it is full: they were made for caches and
#    stand-bys.
#
# **Further reading:** `man ipvsadm`; Eisenbud et al., *Maglev: A Fast and Reliable Software Network Load Balancer*, NSDI 2016;
# Mitzenmacher, *The Power of Two Choices in Randomized Load Balancing*, 2001.
