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
# # A pod dies: who finds out, who tells kube-proxy, and what do your users see until then?
#
# **Time:** 45 to 55 minutes. **You need:** lessons 02, 03 and 05. **Choose the kernel "Lab"** (top right).
#
# "IPVS offers health checks and connection retries," says a vendor's page. You will look for them. Pods will die in two ways, under
# several algorithms, with clients that try again, and minutes of it will pass in seconds: virtual time.
#
# When you are done you can
#
# 1. say what each mode does when a chosen pod is dead (you will be surprised how little),
# 2. predict how many calls fail, and whether a retry helps, for dice, turns and hashing,
# 3. explain why UDP clients stay with a dead pod, and what ends it,
# 4. say what readiness probes, draining and retries each contribute.

# %%
from labkit import CallPlan, Event, Lab, Outage, run_outage

lab = Lab.open("dead-backend", mode="ipvs", scheduler="rr")
lab

# %% [markdown]
# ## Nobody is told
#
# Three pods. One of them dies: its program ends. **Predict:** six calls. How many fail? And does IPVS, "with health checks", notice after
# the first?

# %%
lab.kill("web-1")

# %% language="bash"
# for call in 1 2 3 4 5 6; do ip netns exec client curl -s -m 1 10.96.0.10 || echo "no answer"; done
# ip netns exec node-1 ipvsadm -L -n -t 10.96.0.10:80

# %% [markdown]
# Every third fails, and would for ever: the dead pod is still in the table, with the same weight. **Neither IPVS nor iptables checks the
# health of anything.** In Kubernetes that is the kubelet's work: it asks the pod (a *readiness probe*), the pod's *endpoint* becomes
# not ready, and kube-proxy takes it out of the table. This lab's pods have no probe, so you are the kubelet:

# %%
lab.set_endpoint("web-1", "not-ready")

# %% language="bash"
# for call in 1 2 3 4 5 6; do ip netns exec client curl -s -m 1 10.96.0.10 || echo "no answer"; done
# ip netns exec node-1 ipvsadm -L -n -t 10.96.0.10:80

# %% [markdown]
# ## Minutes in seconds
#
# Now let a client call once a second for a minute, and try again once when a call fails. After 10 seconds `web-1` dies; nobody takes it
# out. In virtual time that minute takes about a second.
#
# **Predict** for turns (`rr`): how many of the 50 calls after the death fail at first? And how many fail even after one more try?

# %%
death = Event(10.5, "web-1", "refuses")
plan = CallPlan(calls=60, retries=1)
run_outage(Outage.of("dead-backend", scheduler="rr", events=(death,), plan=plan))

# %%
run_outage(Outage.of("dead-backend", mode="iptables", events=(death,), plan=plan))

# %%
run_outage(Outage.of("dead-backend", scheduler="sh", events=(death,), plan=plan))

# %% [markdown]
# Three different worlds:
#
# - **Turns:** every third call fails, and the retry always goes to the next pod: nobody notices.
# - **Dice:** a third of the calls, by chance; and a third of the *retries*, too. One user in nine is lost.
# - **Hashing:** it depends on who you are. This client's pod is alive, or dead: all its calls, or none. A retry goes to the same pod.
#
# So there *is* something to "retries" in IPVS mode: with turns, **your client's** retry meets another pod for sure. But it is your client
# that retries. Nobody in the node does.
#
# ## Two ways to die
#
# A pod whose program has ended *refuses*: the client knows at once. A pod whose node has lost power says nothing: the client waits for
# its time-out. **Predict:** which one makes `lc`, *least connection*, look bad?

# %%
run_outage(Outage.of("dead-backend", scheduler="lc", events=(death,), plan=plan))

# %%
silence = Event(10.5, "web-1", "unreachable")
run_outage(Outage.of("dead-backend", scheduler="lc", events=(silence,), plan=plan))

# %% [markdown]
# `lc` **loves** a pod that refuses: refused connections are forgotten after ten seconds, answered ones are counted for two minutes more,
# so the dead pod always seems to have the least to do. A pod that is silent keeps its unanswered connections open in the table, and
# `lc` shuns it. The algorithm that looks at the pods is fooled by the way one dies.
#
# ## A probe
#
# The lab `readiness` has probes: each pod is asked every five seconds, and two failures take it out. **Predict** for how long calls fail.

# %%
run_outage(Outage.of("readiness", service="web", events=(death,), plan=CallPlan(calls=60, retries=0)))

# %% [markdown]
# Then it is over, in every mode, without a retry. Failing from the death to the second failed probe, and to kube-proxy's next sync: that is the
# whole health check there is, and its settings (`periodSeconds`, `failureThreshold`) are yours.
#
# ## UDP remembers
#
# A resolver asks by UDP, again and again from the same port. Connection tracking takes all its questions for *one* connection, and keeps
# the pod. **Predict:** the pod dies, and 20 seconds later its endpoint is removed. When is the client served again?

# %%
gone = (Event(5.5, "names-1", "unreachable"), Event(25.5, "names-1", "removed"))
run_outage(Outage.of("stale-udp", mode="iptables", events=gone, plan=CallPlan(calls=40, retries=0)))

# %% [markdown]
# If the client's port was with `names-1` (it is, or it is not, by chance: run the cell again until you have seen both), nothing helps until the
# endpoint is removed: then kube-proxy deletes the entry in connection tracking, by hand as it were, and the next question finds the
# living pod. Forgetting this step was one of kube-proxy's classic bugs.
#
# ## Break it gently: draining
#
# A pod that is being deleted should get no new connections, but finish those that it has. The lab `draining` answers after two seconds.
# Open a connection, let the pod go, and see whether it is cut.

# %%
lab.close()
lab = Lab.open("draining", mode="ipvs")
with lab.happening(Event(0.5, "web-1", "terminating"), Event(0.5, "web-2", "terminating")):
    slow = lab.measure("web", connections=6, concurrency=6)
slow.answers, slow.errors

# %% language="bash"
# ip netns exec node-1 ipvsadm -L -n -t 10.96.0.10:80

# %% [markdown]
# All six were answered, the leaving pods' too. In the table they stand with **weight 0**: no new connections, old ones go on. kube-proxy
# removes them when their last connection is gone.

# %% [markdown]
# ## Your turn: count the failures
#
# One of `pods` pods dies and nobody takes it out. A client calls and calls, and tries again at once, at most `retries` times, when a
# try fails. `task.situations` are four such cases, under turns (`"rr"`) and under dice (`"iptables"`). Put into `shares`, for each of
# them, which **share** of the calls (from 0 to 1) is lost in the long run, after all their tries.

# %%
from labkit.grade import check, draw

task = draw("08-lost-calls")
task.situations


# %% nbgrader={"grade": false, "grade_id": "08-lost-calls", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
def lost(algorithm, pods, retries):
    if algorithm == "rr":
        return 0.0 if retries else 1 / pods
    return (1 / pods) ** (retries + 1)


shares = [lost(**situation) for situation in task.situations]
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check-08-lost-calls", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("08-lost-calls")

# %% [markdown]
# ## Start over
#
# This puts the lab back as it was opened last.

# %%
lab.reset()

# %% [markdown]
# ## What you found
#
# 1. No mode checks health, and no node retries. A dead pod stays in the tables until its endpoint changes.
# 2. Turns lose every n-th call and none after a retry; dice lose 1/n, and 1/n² after one; hashing loses all calls of some clients.
# 3. UDP clients that keep their port stay with their pod until kube-proxy deletes the connection tracking entry.
# 4. Probes bound the time, draining saves what is open, and retries are the client's business.
#
# **Further reading:** [Pod lifecycle](https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes) and
# [termination](https://kubernetes.io/docs/tutorials/services/pods-and-endpoint-termination-flow/) in Kubernetes' documentation.
