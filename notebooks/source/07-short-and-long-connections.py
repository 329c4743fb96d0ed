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
# # A connection for every question, or one for all: who pays, and what does the node remember?
#
# **Time:** 45 to 60 minutes. **You need:** lessons 03 and 06. **Choose the kernel "Lab"** (top right).
#
# "iptables suits few Services, or many short concurrent connections," says a vendor's page. Is that so? A short connection pays for its beginning,
# for its end, and for being remembered long after; a long one pays once and is shared out once. You will measure all of that, fill
# a node's memory until it drops your packets, and use up a client's last port.
#
# When you are done you can
#
# 1. say what a long connection saves, and what it does to your load balancing,
# 2. compare the modes by what one short connection costs, in time and in memory,
# 3. work out how many entries a node holds, and what happens when there is no room for one more,
# 4. work out how many connections a second one client can make, and who answers when a port comes again.

# %% [markdown]
# ## One for all
#
# curl keeps its connection open when it has several questions for one server. **Predict:** six questions on one connection to a Service of four
# pods. Who answers them?

# %%
from labkit import Lab

lab = Lab.open("web", mode="iptables")

# %% language="bash"
# ip netns exec client curl -s "10.96.0.10/?question=[1-6]"

# %% [markdown]
# One pod, all six: kube-proxy's rules choose when a connection *begins*, and never look inside. Now one connection for each question:

# %% language="bash"
# for question in 1 2 3 4 5 6; do
#     ip netns exec client curl -s "10.96.0.10/?question=$question"
# done

# %% [markdown]
# Six choices. Here lies the trouble with long connections: they walk the list once, they are one entry, they are cheap, **and they are not balanced**. Three
# clients that keep a connection each can use three pods at most, and leave the others idle, under every mode and every
# scheduler: a scheduler is asked once for each connection.
#
# ## What a short one costs
#
# The next cell sends 400 connections that ask once and close, one after the other, in each mode. Then 128 come a second time from the very
# same ports; of that later.
#
# **Predict:** which mode has the quickest connections, with a single Service in the cluster? By a little, or by a lot?

# %%
from labkit import short_connections_here, show_short_connections

short = short_connections_here(connections=400, reused=128)
show_short_connections(short)

# %% [markdown]
# The connect times (the dot is p05, the ring the median) differ by less than the luck of a run: run the cell again, and the order may be another. Look
# closer, at the first packet's way from the node's door to the pod, p05 in microseconds:

# %%
{row.mode: round(row.latency_us["forward"]["p05"].value, 1) for row in short.rows}

# %% [markdown]
# There is the vendor's sentence: with few Services IPVS is the slowest of the three, as at the left edge of lesson 06's lines. It is true, and it is
# a microsecond or so; connecting, asking and being answered takes a hundred and more. The other columns say more: conntrack entries, one for each connection in every mode;
# IPVS entries, **one more each** in IPVS mode. kube-proxy needs connection tracking there as well (lesson 03), so IPVS mode
# remembers everything twice.
#
# ## What a node remembers
#
# Your connections are long closed. **Predict:** a hundred more of them; how many does each node still know?

# %%
lab = Lab.open("web", mode="iptables")
lab.measure("web", connections=100, concurrency=1).answered

# %% language="bash"
# for node in node-1 node-2; do echo "$node: $(ip netns exec $node conntrack -C)"; done
# ip netns exec node-1 conntrack -L 2>/dev/null | head -2
# cd /proc/sys/net/netfilter
# ip netns exec node-1 grep -H . nf_conntrack_tcp_timeout_time_wait nf_conntrack_tcp_timeout_established

# %% [markdown]
# All hundred on `node-1`, where they came in, and on `node-2` those whose pod is there. The third word of an entry is its time left in seconds: a
# closed connection stays for **two minutes** (`TIME_WAIT`), so that a straggling packet still finds its way. One that was never
# closed, because the client lost its power, stays for five days here. (kube-proxy sets that one to 24 hours.)
#
# So when connections are short, a node's memory is filled not by those that are open but by those of the last two minutes:
#
# > entries = new connections a second x 120
#
# **Predict:** how many short connections a second fill a table of 131,072 entries? (That is what the lab has, and the least that kube-proxy sets.)

# %%
round(131_072 / 120)

# %% [markdown]
# About eleven hundred. A thousand connections that stay open for an hour are a thousand entries; a thousand new ones *a second* are 120,000.
# In IPVS mode the same happens in a second table:

# %%
lab.reset("ipvs")
lab.measure("web", connections=100, concurrency=1).answered

# %% language="bash"
# echo "connection tracking: $(ip netns exec node-1 conntrack -C)"
# echo "IPVS: $(ip netns exec node-1 ipvsadm -L -n -c | grep -c TIME_WAIT)"
# ip netns exec node-1 ipvsadm -L -n -c | head -4

# %% [markdown]
# ## Break it: a full table
#
# Let the table have room for 100, and send 140 connections. **Predict:** which 40 have bad luck, and what do their clients see: refused, reset, or
# nothing at all?

# %%
lab.reset("iptables")

# %% language="bash"
# sysctl -q -w net.netfilter.nf_conntrack_max=100

# %%
full = lab.measure("web", connections=140, timeout_s=0.3)
full.answered, full.errors

# %% language="bash"
# dmesg | grep "table full" | tail -1
# sysctl -q -w net.netfilter.nf_conntrack_max=131072

# %% [markdown]
# The last 40 time out. The node drops what it cannot remember and tells nobody but its own kernel's log: the pods are healthy, kube-proxy is content,
# the rules are right. If *new* connections hang and old ones work, read `dmesg` on the node, and compare `conntrack -C` with the maximum.
#
# ## Ports come again
#
# A connection is known by four values: two addresses and two ports. One client and one Service leave only **the client's port** to tell them apart.
# And whoever closes first keeps its port for a minute, in a `TIME_WAIT` of its own. Give the client twelve ports instead of its
# thousands. **Predict:** fourteen calls to the Service, and then one to the node port (it leads to the same pods).

# %% language="bash"
# ip netns exec client sysctl -q -w net.ipv4.ip_local_port_range="40000 40011"
# for call in $(seq 14); do ip netns exec client curl -s -m 1 10.96.0.10 || echo "call $call: no"; done
# echo "and to the node port:"; ip netns exec client curl -s 172.18.0.11:30080

# %% [markdown]
# Twelve, then no more: `connect` fails at once with *Cannot assign requested address*, without any packet. To another address or port the same twelve
# are free again, since one of the four values differs. (Did you see two kinds of ports? Linux tries every second one first.)
#
# Linux's own range is 32768 to 60999. **Predict:** how many connections a second can one client address make, for ever, to one Service?

# %%
round((60_999 - 32_768 + 1) / 60)

# %% [markdown]
# Not quite 500. A proxy or a load generator meets that limit long before the Service does; more client addresses, more Services or
# connections that are kept open help. So does `net.ipv4.tcp_tw_reuse`: it lets the client take a port again after a second. Then the node
# sees a *new* connection from a port that it still remembers. **Predict:** the same twelve ports, once more. Same pods as before?

# %% language="bash"
# ip netns exec client sysctl -q -w net.ipv4.tcp_tw_reuse=1
# calls() { for call in $(seq 12); do ip netns exec client curl -s -m 1 10.96.0.10; done; }
# ports() { calls | sed -E 's|pod=default/(\S+) .*:|\1 |' | sort -k 2; }
# sleep 2; first=$(ports); sleep 2; second=$(ports)
# join -j 2 <(echo "$first") <(echo "$second")

# %% [markdown]
# (Each line: the port, who answered it first, and who the second time.) The SYN says that the old connection is over; connection tracking begins
# a new entry, the dice are rolled again, and one in four meets the same pod by chance. The chart above measured just that: its last column.
# IPVS mode in this Linux does the same. But IPVS has a switch for it, and on Linux 4.1 to 5.8 kube-proxy turns it off. Do what it does there:

# %%
lab.reset("ipvs")

# %% language="bash"
# ip netns exec node-1 sysctl -q -w net.ipv4.vs.conn_reuse_mode=0
# ip netns exec client sysctl -q -w net.ipv4.tcp_tw_reuse=1
# ip netns exec client sysctl -q -w net.ipv4.ip_local_port_range="40000 40011"
# calls() { for call in $(seq 12); do ip netns exec client curl -s -m 1 10.96.0.10; done; }
# ports() { calls | sed -E 's|pod=default/(\S+) .*:|\1 |' | sort -k 2; }
# first=$(ports); sleep 2; second=$(ports)
# join -j 2 <(echo "$first") <(echo "$second")

# %% [markdown]
# Every port meets its old pod again: IPVS takes the new connection for the old one. From Linux 5.9 on kube-proxy leaves the switch alone. **Same
# Service, same mode, another kernel, another pod:** say which Linux you measured.
#
# ## Your turn: what do they remember?
#
# A client on `node-1` calls a Service; its three pods are all on the node that a situation names (`pods_on`). It makes `connections` short connections:
# all at once where `every_s` is 0, else one every so many seconds. After the last one we wait `wait_s` seconds, and count.
#
# Put three numbers for each situation into `entries`: the entries of connection tracking on `node-1`, those on `node-2`, and those of
# IPVS on `node-1`, such as `{"far": [10, 0, 0], ...}`. (Where calls go on to the end a few more or less count as right.)

# %%
from labkit.grade import check, draw

task = draw("07-entries")
task.situations


# %% nbgrader={"grade": false, "grade_id": "07-entries", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
def remembered(mode, pods_on, every_s, connections, wait_s):
    count = connections if wait_s < 120 else 0
    if every_s:
        count = min(connections, 120 / every_s)
    return [count, count if pods_on == "node-2" else 0, count if mode == "ipvs" else 0]


entries = {name: remembered(**situation) for name, situation in task.situations.items()}
### END SOLUTION

# %% [markdown]
# The check makes the calls in virtual time, waits those minutes, and counts.

# %% nbgrader={"grade": true, "grade_id": "check-07-entries", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("07-entries")

# %% [markdown]
# ## Your turn: the last port
#
# A client may use the ports from `first_port` to `last_port`, has `addresses` addresses of its own, and calls `services` Services (a cluster IP
# each, all port 80). Each connection is closed by the client first, `tcp_tw_reuse` is off, and ports are chosen when it is known whom they are for. Write
# `most_connections`: it returns a list of two numbers, how many connections it can make at once before no port is left, and how many
# **a second** it can make in the long run.

# %%
task = draw("07-ports")
task


# %% nbgrader={"grade": false, "grade_id": "07-ports", "locked": false, "schema_version": 3, "solution": true, "task": false}
def most_connections(first_port, last_port, addresses, services):
    """Return how many connections there can be at once, and how many a second."""
    ### BEGIN SOLUTION
    at_once = (last_port - first_port + 1) * addresses * services
    return [at_once, at_once / 60]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-07-ports", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("07-ports")

# %% [markdown]
# ## Start over
#
# This puts the lab back as it was opened last.

# %%
lab.reset()

# %% [markdown]
# ## What you found
#
# 1. A long connection pays once and is balanced once. A short one pays each time, and every mode can share it out.
# 2. With few Services iptables and nftables mode forward a first packet quicker than IPVS, by a microsecond or so. What IPVS mode really
#    costs short connections is a second entry for each. So the vendor's sentence holds, within these limits.
# 3. A node holds new connections a second x 120 entries. When there is no room, new connections are dropped without a word.
# 4. One client address to one Service: its ports divided by 60 seconds. A port that comes again is a new connection to a new pod, but for IPVS
#    with `conn_reuse_mode` 0.
#
# **Further reading:** Linux's [conntrack settings](https://docs.kernel.org/networking/nf_conntrack-sysctl.html),
# [IP settings](https://docs.kernel.org/networking/ip-sysctl.html) (ip_local_port_range, tcp_tw_reuse) and
# [IPVS settings](https://docs.kernel.org/networking/ipvs-sysctl.html) (conn_reuse_mode).
