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
# # When pods are not equally fast, which way of choosing keeps your users from waiting?
#
# **Time:** 45 to 60 minutes. **You need:** lessons 00 and 02. **Choose the kernel "Lab"** (top right).
#
# iptables mode rolls dice. IPVS mode has *schedulers*, and four of them count: `rr` counts turns, `wrr` counts turns by weight, `lc`
# counts connections, `wlc` counts connections by weight. Vendors like to say that this makes IPVS better. Better at what, and when?
# You will measure it on pods that are alike, on pods that are not, and with weights that somebody got wrong.
#
# When you are done you can
#
# 1. predict the exact order in which `rr` and `wrr` choose,
# 2. say what `lc` and `wlc` count, and read it from `ipvsadm`,
# 3. work out how busy each pod is, and from that who will wait,
# 4. choose a scheduler and weights for pods of different speed, and prove the choice by p99.

# %%
from labkit import Lab, show_distribution

lab = Lab.open("web", mode="ipvs", scheduler="rr")
lab

# %% [markdown]
# ## Round robin: whose turn is it?
#
# **Predict:** twelve connections, one after the other, to four pods. Write down the order, not only the counts.

# %%
turns = lab.measure("web", connections=12, concurrency=1)
[flow.pod.removeprefix("default/") for flow in turns.flows]

# %% [markdown]
# One full round after the other, and never a surprise: IPVS keeps a pointer to the last pod and moves it on. It does not matter who
# calls, how long the answer takes, or how busy the pod is. (Which pod comes first depends on where the pointer stood.)
#
# ## Weighted round robin: three turns for you, one for me
#
# A *weight* says how much a pod can take. Give `web-1` four, `web-2` two and the others one each.

# %%
lab.switch("ipvs", scheduler="wrr", weights={"web-1": 4, "web-2": 2, "web-3": 1, "web-4": 1})

# %% language="bash"
# ip netns exec node-1 ipvsadm -L -n -t 10.96.0.10:80

# %% [markdown]
# (kube-proxy itself gives every pod the weight 1; weights of your own are this lab's extension, so that you can see what the
# kernel can do.)
#
# **Predict** the order of the next eight connections. "Four for `web-1`, then two for `web-2`, ..." would be one way. Is it the
# kernel's?

# %%
turns = lab.measure("web", connections=16, concurrency=1)
[flow.pod.removeprefix("default/") for flow in turns.flows]

# %% [markdown]
# The kernel walks down a staircase. It starts at the highest weight, 4, and serves every pod whose weight is at least that high: only
# `web-1`. Then 3: again only `web-1`. Then 2: `web-1` and `web-2`. Then 1: all four. Then it starts again at the top. Eight turns in
# all, the sum of the weights, and the heavy pod's turns come early, but never all in a row.
#
# The staircase in Python, for you to compare (find this order in the output above; it may begin somewhere else):

# %%
weights = {"web-1": 4, "web-2": 2, "web-3": 1, "web-4": 1}
[pod for step in range(4, 0, -1) for pod, weight in weights.items() if weight >= step]

# %% [markdown]
# ## Least connection: who has the least to do?
#
# `lc` looks before it chooses. For each pod IPVS counts *active* connections (established) and *inactive* ones (closing, or not yet
# open). Here they are; the last two columns:

# %%
lab.switch("ipvs", scheduler="lc")
lab.measure("web", connections=40, concurrency=4).answers

# %% language="bash"
# ip netns exec node-1 ipvsadm -L -n -t 10.96.0.10:80

# %% [markdown]
# All is quiet now, so nothing is active; connections that ended stay *inactive* for two minutes. `lc` compares
#
# > active x 256 + inactive
#
# (roughly; some versions count an active connection as 257) and takes the smallest. `wlc` divides that by the weight. With pods that are alike, and quick answers, this gives nearly equal shares.
# It gets interesting when they are not alike.
#
# ## Pods that are not alike
#
# `unequal` is a lab with three pods that need **5, 10 and 40 ms** for a request. Each serves one request at a time; others wait in its
# queue. Users arrive at random, **60 a second** on average, whatever the pods do.
#
# From here on you measure in **virtual time**: each experiment runs in a fresh Linux of its own whose clock jumps from event to event.
# Ten seconds of traffic do not take ten seconds, a busy laptop changes nothing, and each delay is exact.
#
# **Predict, with a pencil.** Round robin gives each pod 20 requests a second. How much of its time is the slow pod busy? (20 x 40 ms.)
# And the fast one? Who will wait?

# %%
from labkit import Experiment, Workload, run, show_latency

users = Workload(connections=600, arrivals="poisson", rate_per_s=60, clients=64, timeout_s=600)
rr = run(Experiment.of("unequal", scheduler="rr", workload=users))

# %%
show_latency(rr, "response")

# %% [markdown]
# The slow pod is busy 80 % of its time, and a queue that is four fifths full gets long: most users are served in 5 or 10 ms, but
# **one in a hundred** waits for more than 100. The fast pod is busy 10 % of its time and idles beside it. That is what a *p99* (the
# time within which 99 of 100 are served) is for: the median looks splendid.
#
# **Predict:** weights in proportion to the speed are 8, 4 and 1 (the lab's manifest has them). How busy is each pod under `wrr`?

# %%
wrr = run(Experiment.of("unequal", scheduler="wrr", workload=users))

# %%
show_latency([rr, wrr], "response")

# %% [markdown]
# 60 x 8/13 = 37 requests of 5 ms: busy 18 % of its time; and just the same for the others. Nobody queues for long, and p99 is about
# what the slow pod needs for one request.
#
# But who knows the right weights, for each pod, at each hour? `lc` does not need them. **Predict:** better or worse than `wrr`?

# %%
lc = run(Experiment.of("unequal", scheduler="lc", workload=users))

# %%
wlc = run(Experiment.of("unequal", scheduler="wlc", workload=users))

# %%
show_latency([rr, wrr, lc, wlc], "response")

# %%
show_distribution([rr, wrr, lc, wlc])

# %% [markdown]
# `lc` halves the worst waits **without being told anything**: it sees that the slow pod's connections are still open and sends the next
# user elsewhere. But look at the shares: nearly a third each. Most of the time, at this load, nobody is busy when a user arrives; then
# only *inactive* connections are compared, and those are equal for all: the choice is as blind as round robin's. `wlc` divides by the
# weight, and knows both.
#
# ## When it makes no difference
#
# **Predict:** three pods that all need 15 ms, the same users. Dice, turns or counting: does it matter at all?

# %%
alike = Workload(
    connections=600, arrivals="poisson", rate_per_s=150, clients=64, timeout_s=600, service_ms={"*": 15}
)
dice = run(Experiment.of("unequal", mode="iptables", workload=alike))

# %%
turns = run(Experiment.of("unequal", scheduler="rr", workload=alike))

# %%
count = run(Experiment.of("unequal", scheduler="lc", workload=alike))

# %%
show_latency([dice, turns, count], "response")

# %% [markdown]
# Dice are unlucky at times and send three users in a row to one pod while another idles: p99 is twice as long. But taking turns and
# looking first give **the very same times**, to the microsecond. Why? If all requests take equally long, the pod whose last turn is
# longest ago is also the one that has the least left to do. To look only pays when pods, or requests, differ.
#
# And when fewer users come? Put `rate_per_s=20` into the first of these cells and run all four again. Half of the users now get their
# answer without any wait under all three, but at p99 the dice still cost twice the time: even a quiet cluster has moments in which
# two users meet, and the dice send them to one pod.
#
# ## Break it: the wrong weights
#
# Somebody copied the weights the wrong way round: the slow pod got 8, the fast one 1. **Predict:** how busy is the slow pod now?

# %%
wrong = Workload(
    connections=600, arrivals="poisson", rate_per_s=60, clients=64, timeout_s=600,
    weights={"default/fast-1": 1, "default/middling-1": 4, "default/slow-1": 8},
)  # fmt: skip
broken = run(Experiment.of("unequal", scheduler="wrr", workload=wrong))
show_latency([wrr, broken], "response")

# %% [markdown]
# 60 x 8/13 x 40 ms: it would have to be busy 148 % of its time. Its queue grows for as long as users come, so there is no
# latency to speak of: the lab calls it **overloaded** and does not draw it beside the others.
#
# `wlc` with the same wrong weights also looks at what is open. **Predict**, then change `"wrr"` to `"wlc"` above: does that save it?

# %% [markdown]
# ## Your turn: the right weights
#
# Write a function that takes how many milliseconds each pod needs for a request, such as `{"web-1": 5, "web-2": 20}`, and returns a
# weight (a whole number from 1 to 65535) for each, so that `wrr` gives every pod the part of the work that it can do.
#
# **Predict** before you write: a pod that needs a quarter of the time gets ... times the weight?

# %%
from labkit.grade import check, draw

task = draw("04-weights")
task.service_ms


# %% nbgrader={"grade": false, "grade_id": "04-weights", "locked": false, "schema_version": 3, "solution": true, "task": false}
def weights_for(service_ms):
    """Return the weight of each pod, by its name."""
    ### BEGIN SOLUTION
    return {pod: round(1000 / time) for pod, time in service_ms.items()}
    ### END SOLUTION


# %% [markdown]
# The check calls your function for three sets of pods and sends 600 requests at three quarters of what the pods can do together,
# in virtual time.

# %% nbgrader={"grade": true, "grade_id": "check-04-weights", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
check("04-weights")

# %% [markdown]
# ## Start over
#
# This puts the lab back as it was opened last.

# %%
lab.reset()

# %% [markdown]
# ## What you found
#
# 1. `rr` walks round the pods; `wrr` walks down a staircase of weights. Both are blind to what the pods are doing.
# 2. `lc` compares active x 256 + inactive connections, `wlc` the same divided by the weight; `ipvsadm -L -n` shows both numbers.
# 3. Requests a second x time for one request = how busy a pod is. Near 1 its queue grows, and p99 says so long before the median.
# 4. Unequal pods: right weights are best, `lc` is good without knowing any, and wrong weights are worse than none. Equal pods and equal
#    requests: turns are as good as looking, and both beat dice.
#
# **Further reading:** `man ipvsadm` (the schedulers, each in a few lines); L. Kleinrock, *Queueing Systems*, on M/D/1.
