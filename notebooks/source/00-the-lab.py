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
# # What is in this lab, and who answers when you call a Service?
#
# **Time:** 10 to 15 minutes. **You need:** a little Linux and a little Python. **Choose the kernel "Lab"** (top right) if it is
# not chosen yet, and wait until its circle is empty: *Run All* clicked while the kernel still starts runs nothing.
#
# When you are done you can
#
# 1. find the nodes, pods and clients of this lab and run a command in any of them,
# 2. send a packet that you made yourself, and read who answered,
# 3. say how 300 connections to one Service were shared out, in iptables mode and in IPVS mode, and why they differ,
# 4. start over.
#
# You work on a real Linux of your own: this notebook's Python runs in it as root, and nothing you do here can reach the computer
# around it. **One notebook is one lab.** A restart of the kernel empties it; the notebook's text stays. On Binder the text goes,
# too, when you leave: download the notebook before (*File → Download*).

# %% [markdown]
# ## Open the lab
#
# A small cluster is described in a Kubernetes manifest: two nodes, a Deployment called `web` with four pods, and a Service in front
# of them. The next cell builds it. Every node and every pod becomes a *network namespace*: a part of Linux with its own interfaces,
# addresses, routes and rules, which is just what a real node or pod is to the network.

# %%
from labkit import Lab

lab = Lab.open("web", mode="iptables")
lab

# %%
from labkit import show_topology

show_topology(lab)

# %% [markdown]
# The lab's last line above gives a command for a terminal *inside* this lab. You need it: JupyterLab's own terminal is outside, where
# `ip netns` shows nothing.
#
# ## Look around
#
# **Predict:** how many network namespaces are there? Two nodes, four pods, two clients, and one thing you may not expect.

# %% language="bash"
# ip netns

# %% [markdown]
# `lan` is the cable between the nodes: a bridge that they are all plugged into. Now look at a node. `eth0` is its plug in that
# cable; `cni0` is the bridge for its pods, and there is one `veth` for each of them.

# %% language="bash"
# ip netns exec node-1 ip -brief address
# ip netns exec node-1 ip route

# %% [markdown]
# The routes say how pods of different nodes reach each other: the other node's pod network lies behind that node's address. No
# address translation is needed for that. Try it, from the client on `node-1` to a pod of each node:

# %% language="bash"
# ip netns exec client ping -c 1 10.244.1.2
# ip netns exec client ping -c 1 10.244.2.2

# %% [markdown]
# ## Call the Service
#
# Clients do not call pods: pods come and go. They call a **Service**, whose address stays. Here it is:

# %%
lab.services["web"].cluster_ip

# %% [markdown]
# **Predict:** no interface anywhere has this address (look again at the list above). Will a call to it be answered? By whom?
# Call it four times.

# %% language="bash"
# for call in 1 2 3 4; do ip netns exec client curl -s http://10.96.0.10; done

# %% [markdown]
# Each line was written by a pod: its name, the address it listens on, and the address that *it* saw as the caller. The call went to
# 10.96.0.10 and arrived at a pod's own address. Somebody rewrote the packets on the way: the node, with the rules that kube-proxy
# gave it. Here are the ones for this Service; lesson 02 reads them line by line.

# %% language="bash"
# ip netns exec node-1 iptables-legacy-save -t nat | grep 'default/web:http ->'

# %% [markdown]
# ## Send a packet of your own
#
# A connection begins with one packet: a TCP segment with the SYN flag. [Scapy](https://scapy.net) lets you make it by hand.
# **Predict:** which source address will the answer have: the pod's or the Service's?

# %%
from scapy.layers.inet import IP, TCP

answer = lab.send(IP(dst="10.96.0.10") / TCP(sport=5555, dport=80, flags="S"))
answer.summary()

# %% [markdown]
# `SA` is the answer to a SYN, and it comes *from the Service's address*: what the node rewrote on the way there, it wrote back on
# the way home. Neither side saw the other's real address. Watch one whole connection from both ends:

# %%
from labkit import show_rewriting

show_rewriting(lab.follow("web"))

# %% [markdown]
# ## Send 300 connections
#
# One call says little about sharing. **Predict:** of 300 connections to four pods, how many will each pod answer: exactly 75?

# %%
from labkit import show_distribution

first = lab.measure("web", connections=300)
show_distribution(first)

# %% [markdown]
# Close to a quarter each, but not exactly: in iptables mode each new connection rolls dice. The *p value* says how often pure
# chance would be at least this uneven; only a very small one (say, below one in a million) would speak against fair dice. Run the
# cell again: the counts change, the picture stays.
#
# ## The same Service in IPVS mode
#
# Now kube-proxy programs the same Service with other machinery: **IPVS**, a load balancer in the kernel, with a choice of
# *schedulers*. `rr` is round robin: each connection goes to the next pod. **Predict** the four counts.

# %%
lab.switch("ipvs", scheduler="rr")
second = lab.measure("web", connections=300)
show_distribution([first, second])

# %% [markdown]
# Exactly 75 each. Nothing was random: IPVS kept a pointer and moved it on with every connection. Look at the kernel's own table of
# the Service and its pods:

# %% language="bash"
# ip netns exec node-1 ipvsadm -L -n

# %% [markdown]
# ## Play
#
# The kernel has more schedulers. Choose one, run it, and compare. Which ones do not share evenly, and what could they be good for?
# (Weights matter to some of them; lesson 04 sorts them out.) Everything that the button does is also one line of Python, which it
# shows.

# %%
from labkit import choose_algorithm

choose_algorithm(lab, "web")

# %% [markdown]
# ## Your turn: find a pod
#
# The next cell opens another cluster. One of its pods has the address `task.address`. Which one, and on which node is it? Ask the
# namespaces, with the commands of *Look around*, and put both names into `found`.

# %%
from labkit.grade import check, draw

lab.close()
task = draw("00-find-pod")
lab = Lab.open(task.manifest)
task.address

# %% nbgrader={"grade": false, "grade_id": "00-find-pod", "locked": false, "schema_version": 3, "solution": true, "task": false}
found = ["pod's name", "node's name"]
### BEGIN SOLUTION
pods = [name for name, pod in lab.pods.items() if task.address in pod.command(["ip", "address"]).stdout]
nodes = [name for name in lab.nodes if "cni0" in lab.route(name, task.address)]
found = pods + nodes
### END SOLUTION

# %% [markdown]
# The check looks for itself, in a new cluster, and says what it expected, what it saw and what to try.

# %% nbgrader={"grade": true, "grade_id": "check-00-find-pod", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check("00-find-pod")

# %% [markdown]
# ## Start over
#
# Broke something? This puts the lab back as it was opened: new namespaces, new rules.

# %%
lab.reset()

# %% [markdown]
# ## What you found
#
# 1. Nodes, pods and clients are network namespaces; `ip netns exec NAME COMMAND` runs a command in any of them.
# 2. Nobody owns the Service's address. The node rewrites packets to it, and the answers back, so that neither side notices.
# 3. iptables mode chooses a pod by chance for each connection; IPVS mode by a scheduler, and round robin is exactly even.
# 4. `lab.reset()` starts over; so does a restart of the kernel.
#
# **Further reading:** [Virtual IPs and Service Proxies](https://kubernetes.io/docs/reference/networking/virtual-ips/) in Kubernetes'
# documentation, and `man ip-netns`, `man ipvsadm` in a terminal.
