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
# # Can you make a Service by hand?
#
# **Time:** 10 minutes. **You need:** lesson 00. A small lesson for the tests of grading. When you are done you can
#
# 1. find the pod that has an address,
# 2. forward connections to pods with iptables,
# 3. say which of them must be masqueraded.

# %%
from labkit import Lab
from labkit.grade import check, draw

# %% [markdown]
# ## Which pod is it?

# %%
task = draw("00-find-pod")
lab = Lab.open(task.manifest)
task

# %% nbgrader={"schema_version": 3, "grade": false, "solution": true, "locked": false, "task": false, "grade_id": "00-find-pod"}
### BEGIN SOLUTION
pod = next(pod for pod in lab.cluster.pods if pod.address == task.address)
found = [pod.name, pod.node]
### END SOLUTION

# %% nbgrader={"schema_version": 3, "grade": true, "solution": false, "locked": true, "task": false, "grade_id": "check-00-find-pod", "points": 2}
check("00-find-pod")

# %% [markdown]
# ## By hand
#
# A Service is an address that no interface has. What makes it work are rules on the nodes: one that recognises the address, and as
# many as there are pods that each take a part of the new connections and write a pod's address into them. Connection tracking does
# the rest. Two things are easily forgotten: a packet that the node itself sends never passes PREROUTING, and a pod that reaches
# itself through the Service would see its own address as the caller's, and throw the packet away.
#
# Your rules go to `node-1`, into the table `nat`. The shell cell finds what is given in its environment: `$CLUSTER_IP`, `$PORT` and
# `$ENDPOINTS`, the pods' addresses and ports, with blanks between them.

# %%
lab.close()
task = draw("02-by-hand")
lab = Lab.open(task.manifest)
task.export()
task

# %% nbgrader={"schema_version": 3, "grade": false, "solution": true, "locked": false, "task": false, "grade_id": "02-by-hand"} language="bash"
# ### BEGIN SOLUTION
# nat() { ip netns exec node-1 iptables-legacy -t nat "$@"; }
# nat -N BY-HAND
# nat -A PREROUTING -d $CLUSTER_IP -p tcp --dport $PORT -j BY-HAND
# nat -A OUTPUT -d $CLUSTER_IP -p tcp --dport $PORT -j BY-HAND
# left=$(wc -w <<<"$ENDPOINTS")
# for endpoint in $ENDPOINTS; do
#     chance=$(awk "BEGIN {print 1 / $left}")
#     nat -A BY-HAND -p tcp -m statistic --mode random --probability $chance -j DNAT --to-destination $endpoint
#     nat -A POSTROUTING -s ${endpoint%:*} -d ${endpoint%:*} -j MASQUERADE
#     left=$((left - 1))
# done
# ### END SOLUTION

# %% nbgrader={"schema_version": 3, "grade": true, "solution": false, "locked": true, "task": false, "grade_id": "check-02-by-hand", "points": 6}
check("02-by-hand")

# %%
lab.close()
