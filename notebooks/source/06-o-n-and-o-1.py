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
# # O(n) and O(1): who pays for a thousand Services more, and how much?
#
# **Time:** 45 to 60 minutes. **You need:** lessons 02 and 03. **Choose the kernel "Lab"** (top right).
#
# "The cost of iptables mode is O(n) in Services and pods; IPVS processes connections in O(1)." You find that sentence on many pages. It is
# about growth: O(n) says that twice as many Services cost twice as much, O(1) that they cost the same. It does not say what *one* costs, or
# who pays. A microsecond for each Service would be a scandal, a nanosecond nobody's concern. You will measure which it is.
#
# When you are done you can
#
# 1. say which packets walk kube-proxy's list, on which nodes, and which never do,
# 2. measure what one more Service costs a first packet, for iptables-legacy, iptables-nft, nftables and IPVS,
# 3. work out from a slope and a start where it begins to matter, and for whom,
# 4. tell the cost of forwarding from the cost of programming, which is another race with another winner.

# %% [markdown]
# ## Who walks?
#
# Two nodes with one pod each, and fifty Services in front of both pods: `s-1` with the address 10.96.1.0 to `s-50` with 10.96.1.49. In
# iptables mode each has a rule in `KUBE-SERVICES`; a last rule leads to the node ports.

# %%
from labkit import Lab, many_services

lab = Lab.open(many_services(50), mode="iptables")

# %% language="bash"
# nat() { ip netns exec node-1 iptables-legacy-save -t nat; }
# nat | grep -c -E '^-A KUBE-SERVICES'
# nat | grep -E '^-A KUBE-SERVICES' | cut -c1-80 | sed -n '1p;50p;51p'

# %% [markdown]
# (The lab writes them in the order of the manifest. kube-proxy itself goes through its Services in no fixed order, so on a real node you
# cannot know which one comes first.)
#
# **Predict:** a client on `node-1` calls `s-1`, and then `s-50`. How many rules more is the second one's first packet compared with? Each
# line below is a call: who answered, and how many rules the packet met on its whole way.


# %%
def first_packet(asked):
    with lab.journey("client", service=asked) as journey:
        pass
    return journey.outcome.answered_by, journey.rules_compared()


[first_packet("s-1") for call in range(4)]

# %%
[first_packet("s-50") for call in range(4)]

# %% [markdown]
# Forty-nine more: the list is read from the top. But there are two kinds of line in each cell (run it again if you see only one). When
# `web-1` answers, the packet meets about **sixty rules more** than when `web-0` does, and even the call to `s-1`, the very first of the list,
# does. Why?
#
# Look at where it met `KUBE-SERVICES`. This call goes past all Services, straight to the pod `web-1`:

# %%
with lab.journey("client", service="web-1:8080") as journey:
    pass
steps = journey.text("rules").splitlines()
[step for step in steps if "nat KUBE-SERVICES" in step]

# %% [markdown]
# `web-1` lives on `node-2`. When the packet comes in there it carries a *pod's* address, because `node-1` has rewritten it or, as here,
# because nobody had to. No rule of the list has that address, so the packet is compared with **all 51** before it may go on. On `node-1` the
# same happens to a call that is to no Service at all.
#
# So the list is not only read for those who call the Service at its end. Every new connection that a node takes in by an interface and routes
# on reads it, on each node, down to the rule that fits or to the end. (A call from the client straight to `web-0` would read nothing: here
# two pods of one node meet on its bridge, below its rules.)
#
# **Predict:** the same connection's second and third packet (the pod's SYN-ACK, the client's ACK): how many rules do they meet?

# %%
[journey.rules_compared(packet) for packet in (1, 2, 3)]

# %% [markdown]
# Ten, at any number of Services: connection tracking knows the connection, the table `nat` is not asked again, and in `filter` one of the
# first rules lets it pass. **Only first packets walk.** A connection that carries a gigabyte pays once.
#
# And the other two modes? **Predict** the difference between `s-1` and `s-50`.

# %%
lab.reset("ipvs")
[first_packet("s-1"), first_packet("s-50")]

# %%
lab.reset("nftables")
[first_packet("s-1"), first_packet("s-50")]

# %% [markdown]
# None (but for which pod answered). IPVS looks its virtual server up in a hash table, and the few rules that IPVS mode keeps look addresses
# up in ipsets. nftables mode has *one* rule with a map of all Services: one look-up, then straight to the chain of the Service that was meant.
#
# ## What a step costs
#
# To count rules is one thing, time another. `scaling_here` builds a node with so many Services, sends 200 connections to its first, to one
# in the middle and to its last one, and takes the delay of each first packet, from the node's door to the pod's, by the kernel's own
# stamps. It compares by **p05**, the delay that one packet in twenty stays below: whatever else your computer does makes a packet later and
# never earlier, so the quick ones tell most about the rules.
#
# **Predict:** with 1,200 Services the last one's packet passes 1,199 rules in vain. Is that a millisecond? A tenth? A hundredth?

# %%
from labkit import scaling_here, show_programming, show_scaling

lab.close()
sizes = (1, 400, 800, 1200)
legacy = scaling_here(sizes, ["iptables-legacy"], flows=200)
show_scaling(legacy)

# %% [markdown]
# A straight line, and a very flat one. Its *slope*, in the sentence below the chart, is what one more Service costs: some **nanoseconds**
# (thousandths of a microsecond). Its *start*, where it meets the left edge, is what the way costs without any list. R² is 1 when all points lie
# on the line; if yours is much lower, the computer was busy: run the cell again. And for the first Service of the list?

# %%
show_scaling(legacy, place="first")

# %% [markdown]
# The same at any size, but for chance: how much you pay depends on where you stand in the list. (Here client and pod are on one node. A
# packet that comes in on a second one reads the whole list there, as you saw, whichever Service it was for.)
#
# Many systems have another `iptables` today: *iptables-nft*, the same command and the same rules, translated for nftables' machinery. And
# there is kube-proxy's nftables *mode*, which does not translate rules but has its map. **Predict:** two of the following three have a flat
# line. Which one has not?

# %%
nft = scaling_here(sizes, ["iptables-nft"], flows=200)

# %%
nftables = scaling_here(sizes, ["nftables"], flows=200)

# %%
ipvs = scaling_here(sizes, ["ipvs"], flows=200)
show_scaling([legacy, nft, nftables, ipvs])

# %% [markdown]
# New machinery does not help if the list stays a list: iptables-nft has the same straight line, and a steeper one than iptables-legacy. What
# makes nftables mode flat is not nftables, it is the *map*.
#
# Look at the left edge, too. With one Service iptables and nftables mode begin lower than IPVS: for few Services there is hardly a list to
# walk, and IPVS does more for each connection. **O(1) is not "faster", it is "the same".** Who wins depends on n.
#
# ## Where it begins to matter
#
# Two questions, and a number for each. *Whom does one connection keep waiting?* Multiply the slope by the number of Services:

# %%
line = legacy.fits()["iptables-legacy"]
{services: round(line.slope * services / 1000, 1) for services in (100, 1_000, 10_000, 100_000)}

# %% [markdown]
# (Services, and the microseconds more.) Compare that with what a connection takes anyway. To connect, ask and be answered, here, without any network in between:

# %%
lab = Lab.open("web", mode="iptables")
whole = lab.measure("web", connections=300, concurrency=1).latency_us
{name: round(whole[name]["p50"].value) for name in ("connect", "response")}

# %% [markdown]
# (Median microseconds to connect, and from the question to the answer.) A thousand Services more hardly show in that; ten thousand do. Users
# who wait for milliseconds will notice neither. *But a node has many of them.* The walk is work for a processor, and with r new connections a
# second it takes r x slope x Services of each second. **Predict:** a busy node takes in 10,000 new connections a second, in a cluster of
# 10,000 Services. Which part of one processor walks lists?

# %%
connections_per_s, services = 10_000, 10_000
f"{connections_per_s * services * line.slope / 1e9:.0%} of a processor, for the last Service"

# %% [markdown]
# *That* is where O(n) begins to matter: where there are thousands of Services **and** many connections begin. Clients that open a connection
# for each question pay each time; those that keep theirs open can live with a long list.
#
# Your machine's nanoseconds are not another's, but the picture is: the Kubernetes project measured first packets with 5,000 to 30,000 Services
# and found that iptables mode rises and nftables mode stays where it is (the link is at the end).
#
# ## The other race: programming
#
# Before anything can be forwarded, kube-proxy must write it down. Two cases: a node starts and has **all** Services to write; or one pod of
# one Service goes, and **one endpoint** has to be taken out. **Predict** for each mode: quick or slow, and does it grow?

# %%
show_programming([legacy, nft, nftables, ipvs])

# %% [markdown]
# Another race with another order. To change **one** endpoint:
#
# - *iptables-legacy* grows with the cluster, although only a few rules change. Its interface to the kernel is the whole table: read it
#   all, write it all. (As long as that takes, a dead pod still gets its share of connections.)
# - *iptables-nft* and *nftables* hand over what changed. It still grows a little: before Linux takes new rules with jumps it follows every
#   jump there is, to see that none goes in circles.
# - *IPVS* changes one entry of a hash table: about the same at any size.
#
# To write **everything**, the two with nftables' machinery take longest. nftables mode has quick packets and a slow start. "Scales better" is not one number.
#
# ## Break it: a short cut
#
# A clever colleague has read this far. "Most packets that walk to the end are to pods. Let those out at the top!" It works:

# %%
lab = Lab.open(many_services(50), mode="iptables")

# %% language="bash"
# for node in node-1 node-2; do
#     ip netns exec $node iptables-legacy -t nat -I KUBE-SERVICES -d 10.244.0.0/16 -j RETURN
# done

# %%
[first_packet("web-1:8080"), first_packet("s-50")]

# %% [markdown]
# A hundred rules less for the call to the pod, and none of the list on the second node of a Service's call. So the colleague goes on: "All of
# our own addresses are in 10.0.0.0/8. Let them *all* out!" **Predict** what happens to `s-1`.

# %% language="bash"
# ip netns exec node-1 iptables-legacy -t nat -R KUBE-SERVICES 1 -d 10.0.0.0/8 -j RETURN
# ip netns exec client curl -s -m 1 10.96.1.0 || echo "no answer"

# %% [markdown]
# Cluster IPs lie in 10.0.0.0/8, too. Nobody rewrites them any more, and no machine has such an address. The order of a list is not only its
# speed, it is its meaning. (And `KUBE-SERVICES` is kube-proxy's own: what you write there, it may write over.)
#
# ## Your turn: who walks how far
#
# A cluster with two nodes; the pod `near` is on `node-1`, as the client is, and `far` is on `node-2`. `task.calls` says whom the client calls: the
# Services `near` and `far` (each in front of the pod of that name), the pod `far` itself (`direct`), and the Service `far` once more, but
# count its *later* packets now: all but the first.
#
# How many rules of `KUBE-SERVICES` in the table `nat` are they compared with, on `node-1` and on `node-2`? Put two numbers for each call into
# `compared`, such as `{"near": [3, 0], ...}`. Read the list and work it out first; then let a journey tell you.

# %%
from labkit.grade import check, draw

lab.close()
task = draw("06-who-walks")
lab = Lab.open(task.manifest, mode="iptables")
task

# %% language="bash"
# ip netns exec node-1 iptables-legacy -t nat -S KUBE-SERVICES | grep -o '".*"' | cat -n

# %% nbgrader={"grade": false, "grade_id": "06-who-walks", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
names = list(lab.services)
near, far = (names.index(task.calls[call]) + 1 for call in ("near", "far"))
whole_list = len(names) + 1
compared = {"near": [near, 0], "far": [far, whole_list], "direct": [whole_list, whole_list], "later": [0, 0]}
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "check-06-who-walks", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("06-who-walks")

# %% [markdown]
# ## Your turn: read the lines
#
# A colleague has measured a mode that walks a list and one that looks up, on a machine that had other things to do. `sizes` are the numbers of
# Services, `walking_us` and `looking_up_us` the first packets' delays in microseconds. The points scatter, so no two of them make
# the line: take the line of *least squares* through all of them (`statistics.linear_regression(x, y)` has a `slope` and an `intercept`).
#
# Write `read_lines`. It returns a dictionary: `ns_per_service`, the nanoseconds that one more Service costs who walks; `start_us`, the
# microseconds at which the walking line starts; and `even_at`, the number of Services at which both lines have the same height: beyond it looking up wins.

# %%
task = draw("06-read-line")
task


# %% nbgrader={"grade": false, "grade_id": "06-read-line", "locked": false, "schema_version": 3, "solution": true, "task": false}
def read_lines(sizes, walking_us, looking_up_us):
    """Return ns_per_service, start_us and even_at."""
    ### BEGIN SOLUTION
    from statistics import linear_regression

    walking = linear_regression(sizes, walking_us)
    looking_up = linear_regression(sizes, looking_up_us)
    even_at = (looking_up.intercept - walking.intercept) / (walking.slope - looking_up.slope)
    return {"ns_per_service": 1000 * walking.slope, "start_us": walking.intercept, "even_at": even_at}
    ### END SOLUTION


# %% [markdown]
# The check calls it with two sets of measurements.

# %% nbgrader={"grade": true, "grade_id": "check-06-read-line", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("06-read-line")

# %% [markdown]
# ## Start over
#
# This puts the lab back as it was opened last.

# %%
lab.reset()

# %% [markdown]
# ## What you found
#
# 1. In iptables mode each new connection's first packet reads `KUBE-SERVICES` on every node that takes it in: to its rule, or to the end when
#    it carries a pod's address. Later packets do not.
# 2. One more Service costs a first packet nanoseconds. iptables-nft walks, too; nftables mode and IPVS look up and stay flat, and IPVS begins higher.
# 3. slope x Services is what one connection waits; times new connections a second, it is the part of a processor that walks lists.
# 4. Programming is another race: iptables-legacy writes the whole table for one endpoint, IPVS one entry; nftables mode takes its time to begin.
#
# **Larger, when you have some minutes:** `scaling((1, 2500, 5000, 10_000), ["iptables-legacy", "ipvs"])` measures each size in a fresh Linux of its own.
#
# **Further reading:** [NFTables mode for kube-proxy](https://kubernetes.io/blog/2025/02/28/nftables-kube-proxy/) (the Kubernetes project's own
# measurements); `man nft` (maps and sets).
