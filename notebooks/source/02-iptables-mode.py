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
# # How can a list of rules, read from top to bottom, share connections fairly among pods?
#
# **Time:** 45 to 60 minutes. **You need:** lesson 00. **Choose the kernel "Lab"** (top right).
#
# iptables was made for firewalls: a list of rules, tried one after the other until one fits. kube-proxy's oldest mode that is
# still in use turns such lists into a load balancer. No program sits in the middle of your connections: the kernel reads the rules
# once, for the first packet, and does the rest by memory.
#
# When you are done you can
#
# 1. read a node's `iptables-save` from the packet's first hook to the pod,
# 2. say why the chances in it are 1/4, 1/3, 1/2 and 1 when every pod gets a quarter,
# 3. tell chance from unfairness with one number,
# 4. find out with counters which rules a packet met, and why there are so few,
# 5. write a Service's rules yourself, so that even a pod that calls itself is answered.

# %%
from labkit import Lab

lab = Lab.open("web", mode="iptables")
lab

# %%
from labkit import show_topology

show_topology(lab)

# %% [markdown]
# ## The way in
#
# A node's rules stand in *tables* (`nat` rewrites addresses, `filter` lets pass or not), tables hold *chains*, chains hold rules. The
# kernel itself calls only the built-in chains, each at a *hook* on the packet's way:
#
# | hook | called for |
# |---|---|
# | PREROUTING | everything that comes in by an interface, before the node decides where to send it |
# | OUTPUT | what the node's own programs send |
# | POSTROUTING | everything that goes out by an interface, at the very last |
#
# All other chains are subroutines: a rule with `-j NAME` jumps there, and at the chain's end the packet comes back. kube-proxy hangs
# its own chains into the hooks. Here are these hangers.

# %% language="bash"
# ip netns exec node-1 iptables-legacy-save -t nat | grep -E '^-A (PREROUTING|OUTPUT|POSTROUTING)'

# %% [markdown]
# **Why two ways in?** A pod's packets come in by an interface: PREROUTING. A program on the node itself (a kubelet, say) sends from
# inside: OUTPUT. Both must find the Service, so both jump to `KUBE-SERVICES`. Read it:

# %% language="bash"
# ip netns exec node-1 iptables-legacy-save -t nat | grep -E '^-A KUBE-SERVICES'

# %% [markdown]
# The first rule is our Service: *to 10.96.0.10, TCP, port 80: go on in* `KUBE-SVC-...`. A cluster with 5,000 Services has 5,000 such
# rules here, one after the other; lesson 06 measures what that costs. The last rule sends everything for the node's own addresses to
# the node ports.
#
# The strange letters are a name: iptables allows 28 characters, so kube-proxy hashes what it wants to say. Any node of any cluster
# gives the port `http` of the Service `web` in `default` the same name. You can work it out:

# %%
import base64
import hashlib

digest = hashlib.sha256(b"default/web:http" + b"tcp").digest()
chain = "KUBE-SVC-" + base64.b32encode(digest)[:16].decode()
chain

# %% [markdown]
# ## The choice
#
# **Predict:** the Service has four pods. What should the rules in its chain look like, so that each gets a quarter? Write down the
# four chances before you run the cell.

# %%
# !ip netns exec node-1 iptables-legacy-save -t nat | grep -e '-A {chain}'

# %% [markdown]
# Leave the first line for later. The other four roll dice (`statistic --mode random`), and their chances are 0.25, 0.33, 0.5 and, in
# the last one, no dice at all.
#
# The list is read from top to bottom. A quarter of all connections takes the first rule. Only **three quarters** ever come to the
# second one; it must take a third of *them*: 3/4 x 1/3 = 1/4. Half of all come to the third: 1/2 x 1/2 = 1/4. Whoever comes to the
# last rule must take it: somebody has to answer. In general, with *n* pods left, the rule takes 1/*n*.
#
# Multiply it out for any number of pods:

# %%
from fractions import Fraction

pods = 4
left = Fraction(1)
for rule in range(pods):
    chance = Fraction(1, pods - rule)
    print(f"rule {rule + 1}: {left} of all come here, it takes {chance} of them: {left * chance} of all")
    left -= left * chance

# %% [markdown]
# Each rule jumps to a chain `KUBE-SEP-...` (*service endpoint*), one for each pod:

# %% language="bash"
# ip netns exec node-1 iptables-legacy-save -t nat | grep -A1 -E '^-A KUBE-SEP' | head -4

# %% [markdown]
# `DNAT --to-destination` is where it happens: the destination 10.96.0.10:80 becomes the pod's own address and port.
#
# ## See one packet do it
#
# You have read the rules; now watch a packet meet them. The next cell opens one connection and records everything that happens to it.
# **Predict:** how many rules are compared with the first packet before it has a pod? And who gives the answer its old address back?

# %%
from labkit import show_journey

with lab.journey("client", service="web") as journey:
    pass
show_journey(journey)

# %% [markdown]
# Step through it (arrow keys, or the buttons). Find the step in which the dice chose, the one in which the destination changed, and
# the one in which it was changed **back**: no rule did that, but connection tracking. The whole list, every rule that was looked at
# included, is `print(journey.text("rules"))`; and this many were compared:

# %%
journey.rules_compared()

# %% [markdown]
# ## Is it fair?
#
# Send 400 connections. **Predict:** within how many of 100 will each pod be?

# %%
from labkit import show_distribution

fair = lab.measure("web", connections=400)
show_distribution(fair)

# %% [markdown]
# Not exactly 100 each, and never twice the same. Is that chance, or is something wrong? The **chi-square test** answers with one
# number, *p*: if the dice are fair, how often would the counts be at least this uneven? p = 0.4 means: four times in ten; nothing to
# see. p = 0.0000001 means: once in ten million; do not believe that the dice are fair.
#
# Do not stop at one run, and do not take fright at one small p. **Predict:** among ten runs with fair dice, how many have p below 0.1?

# %%
[round(lab.measure("web", connections=200).p_value, 3) for run in range(10)]

# %% [markdown]
# With fair dice p is as likely to be high as low, so on average one of ten is below 0.1. That is what chance looks like.
#
# ## Break it: the mistake that everybody makes first
#
# "Four pods, a quarter each: let every rule have the chance 0.25." It sounds right. Do it: replace the second and third rule (in the
# chain they have the numbers 3 and 4, since the line that we left for later comes first).

# %% language="bash"
# chain=KUBE-SVC-CDGGSHYLG3RE2FKL
# nat() { ip netns exec node-1 iptables-legacy -t nat "$@"; }
# for rule in 3 4; do
#     target=$(nat -S $chain $rule | grep -o 'KUBE-SEP-.*')
#     nat -R $chain $rule -m statistic --mode random --probability 0.25 -j $target
# done
# nat -S $chain | grep -o 'probability.*'

# %% [markdown]
# **Predict** the four shares before you look: 1/4, then 3/4 x 1/4, then ...?

# %%
broken = lab.measure("web", connections=400)
show_distribution([fair, broken])

# %% [markdown]
# 25 %, 19 %, 14 %, and the last pod gets all the rest: 42 %. And p? Far below one in a million: *that* is what unfair looks like.
# No error message ever told you; only the measurement did.

# %%
broken.p_value

# %% [markdown]
# ## Only the first packet
#
# Each rule counts the packets that matched it. Set the counters to zero, send 400 connections (each has some ten packets), and look.
# **Predict** the first rule's count.

# %%
lab.reset()
lab.measure("web", connections=400).answered

# %%
# !ip netns exec node-1 iptables-legacy -t nat -nvL KUBE-SERVICES | cut -c1-60
# !ip netns exec node-1 iptables-legacy -t nat -nvL {chain} | cut -c1-60

# %% [markdown]
# 400, not 4,000: only the **first** packet of each connection goes through the `nat` table. The kernel's *connection tracking* then
# remembers what was decided, and treats all later packets alike, there and back. It keeps an entry for each connection; look at one:

# %% language="bash"
# ip netns exec node-1 conntrack -L -p tcp --orig-dst 10.96.0.10 2>/dev/null | head -1

# %% [markdown]
# Two directions in one line. The first `src=` and `dst=` are what the client sent; the second pair is what the answer will look like
# *before* it is rewritten back: it comes from the pod's own address. The client never sees that.
#
# So rules cost time only when a connection begins, and a rule that you change concerns only *new* connections.
#
# ## The line that we left for later
#
# `KUBE-MARK-MASQ` puts a mark (bit 0x4000) on a packet, and `KUBE-POSTROUTING` gives marked packets the node's own source address:
# it *masquerades* them. Why would anyone want to hide the caller?
#
# **A caller from outside**, by node port: the answer has to come back through this very node, which alone knows what was rewritten.

# %% language="bash"
# ip netns exec outside curl -s 172.18.0.11:30080
# ip netns exec outside curl -s 172.18.0.11:30080

# %% [markdown]
# The pod saw a node's address as its caller (`peer`), not the caller's own 172.18.255.128.
#
# **A pod that calls itself**, through the Service: the *hairpin*. Say `web-1` calls 10.96.0.10 and the dice choose `web-1`. Without
# masquerade a packet would come in from the cable with the pod's own address as its source. The pod's kernel takes that for a forgery
# and throws it away; the call hangs. kube-proxy's endpoint chains have a line for exactly that case:

# %% language="bash"
# ip netns exec node-1 iptables-legacy-save -t nat | grep -E 'KUBE-SEP.*-s 10.244.1.2/32'

# %% [markdown]
# *If the caller is the chosen pod itself: mark.* Try it: eight calls from `web-1`; whenever it gets itself, look at `peer`. (If
# it never does, which chance allows once in ten times, run the cell again.)

# %% language="bash"
# for call in 1 2 3 4 5 6 7 8; do ip netns exec web-1 curl -s -m 2 10.96.0.10; done

# %% [markdown]
# Where `web-1` answered itself, it saw the node's address (10.244.1.1). Where another pod answered, that one saw `web-1` as it is:
# 10.244.1.2. Masquerade only where it must be; a pod that sees its real callers can log them and set limits for them.

# %% [markdown]
# ## Your turn: a Service by hand
#
# The next cell opens a cluster **without any Service** and without kube-proxy's rules for one. Write the rules on `node-1` that make one:
#
# - the address `task.cluster_ip`, TCP port `task.port`, leads to the pods in `task.endpoints`, each with the same chance,
# - pods, clients *and the node's own programs* reach it,
# - pods see who really calls them,
# - and yet a pod that calls the Service and gets itself is answered.
#
# You need no chain of kube-proxy's; a chain of your own and a few rules are enough. The shell cell finds what is given in `$CLUSTER_IP`,
# `$PORT` and `$ENDPOINTS` (addresses and ports, with blanks between them). Your work is the state of the node: if you went astray, run
# the next cell again and start afresh.

# %%
from labkit.grade import check, draw

lab.close()
task = draw("02-by-hand")
lab = Lab.open(task.manifest, mode="iptables")
task.export()
task

# %% nbgrader={"grade": false, "grade_id": "02-by-hand", "locked": false, "schema_version": 3, "solution": true, "task": false} language="bash"
# nat() { ip netns exec node-1 iptables-legacy -t nat "$@"; }
# ### BEGIN SOLUTION
# nat -N MY-SVC
# for hook in PREROUTING OUTPUT; do nat -A $hook -d $CLUSTER_IP -p tcp --dport $PORT -j MY-SVC; done
# left=$(wc -w <<<"$ENDPOINTS")
# for endpoint in $ENDPOINTS; do
#     chance=$(awk "BEGIN {print 1 / $left}") pod=${endpoint%:*} left=$((left - 1))
#     nat -A MY-SVC -p tcp -m statistic --mode random --probability $chance -j DNAT --to-destination $endpoint
#     nat -A POSTROUTING -s $pod -d $pod -j MASQUERADE
# done
# ### END SOLUTION

# %% [markdown]
# The check takes your node's tables, puts them into a new cluster, and sends traffic there: 400 calls and more. It says what it
# expected, what it saw, and what to try. Run it as often as you like. (Where chance plays, it fails a right answer less than once in a
# million.)

# %% nbgrader={"grade": true, "grade_id": "check-02-by-hand", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
check("02-by-hand")

# %% [markdown]
# ## Start over
#
# This puts the lab back as it was opened last.

# %%
lab.reset()

# %% [markdown]
# ## What you found
#
# 1. PREROUTING and OUTPUT lead to `KUBE-SERVICES`, that to the Service's chain, that to one pod's chain, and there the destination
#    is rewritten.
# 2. Each rule sees only what the rules above it left, so with *n* pods left it takes 1/*n*, and the last one takes all.
# 3. p says how often fair dice would be at least this uneven. One small p means little; one below a millionth means a mistake.
# 4. Only the first packet of a connection meets the `nat` table; connection tracking remembers for all others.
# 5. Masquerade what would not find its way back: callers from outside, and a pod that gets itself.
#
# **Further reading:** `man iptables-extensions` (statistic, DNAT, MASQUERADE, conntrack);
# [Virtual IPs and Service Proxies](https://kubernetes.io/docs/reference/networking/virtual-ips/#proxy-mode-iptables).
