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
# # Which weights do unequal pods need?
#
# **Time:** 10 minutes. **You need:** lesson 00. A small lesson for the tests of grading. When you are done you can
#
# 1. say what a weight of IPVS means,
# 2. work out weights from the pods' strength,
# 3. see what wrong weights cost.
#
# `wrr` gives a pod of weight 3 three connections for each one that a pod of weight 1 gets. A weight is a whole number. Write a function
# that gives each pod the weight that suits its strength: a pod that works 2 ms on a request can do ten times the work of one that
# needs 20 ms. It is tried on other pods than the ones you see here.

# %%
from labkit.grade import check, draw

task = draw("04-weights")
task.service_ms


# %% nbgrader={"schema_version": 3, "grade": false, "solution": true, "locked": false, "task": false, "grade_id": "04-weights"}
def weights_for(service_ms):
    """Return a whole weight for each pod; `service_ms` is how long it works on one request."""
    ### BEGIN SOLUTION
    return {pod: round(1000 / time) for pod, time in service_ms.items()}
    ### END SOLUTION


# %% nbgrader={"schema_version": 3, "grade": true, "solution": false, "locked": true, "task": false, "grade_id": "check-04-weights", "points": 5}
check("04-weights")
