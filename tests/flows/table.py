# ruff: noqa: E501  a row stands on one line
"""The flow table: what Services of kube-proxy v1.30 do to whom, written by hand from its documents and source.

A cell holds every outcome that there may be; each must be seen, and no other:

    here= there=   the endpoint on node-1, on node-2, answers and has seen the client's own address
    here~ there~   the same, but has seen the address of the node that was asked: masqueraded
    there^         the same, but has seen the address of the other node
    there=!        the request arrives, its answer does not find back
    reject         refused by ICMP "port unreachable"
    reset          refused by TCP's RST
    drop           nothing ever comes
    forbidden      the same, and the asker's own node tells its process (EPERM)
    beyond=        no rule has taken it: it has left by the node's routes
    daemon=        no rule has taken it: a process of the node itself has got it

`outside` reaches cluster IPs, external IPs and load balancer IPs by a route to node-1. The scene is in
`scene.py`. A line `ipvs`, `nftables` or `iptables` says what differs in that mode; `.`: nothing.
"""

from __future__ import annotations

from flows import weathers
from flows.rows import Row, read_list, read_matrix

_THREE = ("TCP", "UDP", "SCTP")
_TWO = ("TCP", "UDP")

CLUSTER = """
from    | cluster IP   | node port    | external IP  | load balancer IP | other node's port | why
pod     | here= there= | here~ there~ | here~ there~ | here~ there~     | here~ there~      | to what is meant for the world, all are masqueraded
far-pod | here= there= | here~ there~ | here~ there~ | here~ there~     | here~ there~      |
node    | here~ there~ | here~ there~ | here~ there~ | here~ there~     | here~ there~      | not of the cluster CIDR
outside | here~ there~ | here~ there~ | here~ there~ | here~ there~     | here~ there~      |
here    | here~ there= | here~ there~ | here~ there~ | here~ there~     | here~ there~      | hairpin: it must not see itself
"""

LOCAL = """
from     | cluster IP   | node port     | external IP  | load balancer IP | other node's port | why
pod      | here= there= | here= there=  | here= there= | here= there=     | here=! there=     | pods are not held to the policy; an answer between pods of one node bypasses the other node, which would have to translate it
ipvs     | .            | here=         | here=        | here=            | there=            | a virtual server has one list of real servers for all
far-pod  | here= there= | here= there=! | here= there= | here= there=     | here= there=      |
ipvs     | .            | here=         | there=       | there=           | there=            |
node     | here~ there~ | here~ there~  | here~ there~ | here~ there~     | there=            | the node itself is not held to it either; to the other node it is a stranger
ipvs     | .            | here=         | here=        | here=            | .                 | nothing is masqueraded; on its way to an address that kube-ipvs0 has, that address is the source
outside  | here~ there~ | here=         | here=        | here=            | there=            | seen as itself by the pods of the node it asks
here     | here~ there= | here~ there=  | here~ there= | here~ there=     | here~ there=      |
ipvs     | .            | here~         | here~        | here~            | there=            |
there    | here= there~ | here= there~  | here= there~ | here= there~     | here= there~      |
ipvs     | .            | here=         | there~       | there~           | there~            |
"""

ABSENT = """
from     | cluster IP | node port | external IP | load balancer IP | other node's port | why
pod      | there=     | there=    | there=      | there=           | there=            |
far-pod  | there=     | there=!   | there=      | there=           | there=            |
node     | there~     | there~    | there~      | there~           | there=            |
ipvs     | .          | .         | drop        | drop             | .                 | its source is the address asked for; node-2 has that on kube-ipvs0 too and takes such a packet for forged (kubernetes 93456)
nftables | .          | .         | drop        | drop             | .                 | v1.30 looks for endpoints in OUTPUT before it translates (priority -110, NAT is at -100), so what there is for the node's own traffic is never reached
outside  | there~     | drop      | drop        | drop             | there=            |
ipvs     | .          | there=!   | there=!     | there=!          | .                 | IPVS falls back to the cluster's endpoints but does not masquerade: their answers go home by another way
there    | there~     | there~    | there~      | there~           | there~            |
ipvs     | .          | there^!   | .           | .                | .                 | only the endpoints of a node itself are in its KUBE-LOOP-BACK: node-2 masquerades, and then the pod gets an answer from itself
"""

EMPTY = """
from      | cluster IP | node port | external IP | load balancer IP | other node's port | why
pod       | reject     | reject    | reject      | reject           | reject            |
far-pod   | reject     | reject    | reject      | reject           | reject            |
node      | reject     | reject    | reject      | reject           | reject            |
iptables  | .          | .         | beyond=     | beyond=          | .                 | KUBE-EXTERNAL-SERVICES is not asked in OUTPUT
outside   | reject     | reject    | reject      | reject           | reject            |
here      | reject     | reject    | reject      | reject           | reject            |
"""

INTERNAL_POLICY = """
service       | from             | to         | protocol | iptables | nftables | ipvs   | why
inside        | pod              | cluster IP | TCP      | here=    | .        | .      |
inside        | far-pod          | cluster IP | TCP      | there=   | .        | .      |
inside        | node outside     | cluster IP | TCP      | here~    | .        | .      |
inside        | here             | cluster IP | TCP      | here~    | .        | .      |
inside-absent | pod node outside | cluster IP | TCP UDP  | drop     | .        | reject | the virtual server has no real server
inside-absent | far-pod          | cluster IP | TCP UDP  | there=   | .        | .      |
"""

SOURCE_RANGES = """
service       | from                      | to               | protocol | iptables | nftables | ipvs   | why
guarded       | pod                       | load balancer IP | TCP UDP  | here~    | .        | .      | in the range
guarded       | far-pod node outside here | load balancer IP | TCP UDP  | drop     | .        | .      | not in it
guarded       | pod far-pod outside here  | node port        | TCP UDP  | here~    | .        | .      | node ports have no ranges
guarded       | node                      | node port        | TCP UDP  | here~    | .        | .      |
guarded       | pod far-pod               | cluster IP       | TCP UDP  | here=    | .        | .      | cluster IPs neither
guarded       | node outside here         | cluster IP       | TCP UDP  | here~    | .        | .      |
guarded-node  | node outside              | load balancer IP | TCP      | here~    | .        | .      | in the ranges
guarded-node  | pod here                  | load balancer IP | TCP      | drop     | .        | .      |
guarded-node  | outside here              | node port        | TCP      | here~    | .        | .      |
guarded-node  | pod                       | cluster IP       | TCP      | here=    | .        | .      |
guarded-node  | node here                 | cluster IP       | TCP      | here~    | .        | .      |
own           | pod                       | load balancer IP | TCP      | here~    | .        | .      | an address of node-1 itself
own           | outside here node         | load balancer IP | TCP      | drop     | .        | .      |
own           | pod                       | cluster IP       | TCP      | here=    | .        | .      |
own           | node here                 | cluster IP       | TCP      | here~    | .        | .      |
own           | outside                   | node port        | TCP      | here~    | .        | .      |
own-node      | node                      | load balancer IP | TCP      | here~    | .        | .      | the address asked for is the source, though not in the range
own-node      | main-address              | load balancer IP | TCP      | here~    | .        | .      | in the range
own-node      | pod outside               | load balancer IP | TCP      | drop     | .        | .      |
own-node      | outside here              | node port        | TCP      | here~    | .        | .      |
own-node      | pod                       | cluster IP       | TCP      | here=    | .        | .      |
own-node      | node here                 | cluster IP       | TCP      | here~    | .        | .      |
own-empty     | pod outside node          | load balancer IP | TCP UDP  | reject   | .        | .      |
own-empty     | pod outside node          | node port        | TCP UDP  | reject   | .        | .      |
own-empty     | pod outside node          | cluster IP       | TCP UDP  | reject   | .        | .      |
guarded-empty | pod                       | load balancer IP | TCP      | reject   | .        | .      |
guarded-empty | outside                   | load balancer IP | TCP      | reject   | drop     | .      | iptables mode has no ranges for what has no endpoints
guarded-empty | pod                       | cluster IP       | TCP      | reject   | .        | .      |
guarded-empty | outside                   | node port        | TCP      | reject   | .        | .      |
own-node      | node main-address         | stray ACK to load balancer IP | TCP | reset | . | .  | of a connection that nobody knows any more: IPVS leaves it to the source ranges in INPUT, and the node resets it
guarded-node  | node main-address         | stray ACK to load balancer IP | TCP | reset | . | drop | the mark has it masqueraded on lo, as the node's first address (cni0's), which is not in the ranges
"""

IP_MODE = """
service | from                          | to               | protocol | iptables | nftables | ipvs | why
proxied | pod far-pod node outside here | load balancer IP | TCP      | beyond=  | .        | .    | ipMode Proxy: left to the balancer
proxied | pod far-pod node outside here | node port        | TCP      | here~    | .        | .    |
proxied | pod                           | cluster IP       | TCP      | here=    | .        | .    |
proxied | node here                     | cluster IP       | TCP      | here~    | .        | .    |
"""

CONDITIONS = """
service       | from      | to          | protocol | iptables | nftables | ipvs  | why
leaving       | pod       | cluster IP  | TCP      | here=    | .        | .     | `there` terminates, and another is ready
leaving       | node here | cluster IP  | TCP      | here~    | .        | .     |
all-leaving   | pod       | cluster IP  | TCP      | here=    | .        | .     | nobody is ready: who still serves, does
all-leaving   | node here | cluster IP  | TCP      | here~    | .        | .     |
local-leaving | pod       | cluster IP  | TCP      | there=   | .        | .     | `there` is ready, `here` terminates and serves
local-leaving | node outside | cluster IP | TCP    | there~   | .        | .     |
local-leaving | outside   | node port   | TCP      | here=    | .        | .     | no other local one
local-leaving | outside   | external IP | TCP      | here=    | .        | .     |
local-leaving | pod       | node port   | TCP      | there=   | .        | here= |
local-leaving | node      | node port   | TCP      | there~   | .        | here= |
local-leaving | there     | node port   | TCP      | there~   | .        | here= |
not-ready     | pod       | cluster IP  | TCP      | there=   | .        | .     |
not-ready     | node outside | cluster IP | TCP    | there~   | .        | .     |
published     | pod       | cluster IP  | TCP      | here=    | .        | .     | publishNotReadyAddresses
published     | node here | cluster IP  | TCP      | here~    | .        | .     |
"""

AFFINITY = """
service | from         | to                      | protocol | iptables     | nftables     | ipvs         | why
sticky  | pod          | cluster IP, six times   | TCP      | here= there= | .            | .            | each client keeps to one endpoint, whichever
sticky  | outside      | cluster IP, six times   | TCP      | here~ there~ | .            | .            |
sticky  | outside      | node port, six times    | TCP      | here~ there~ | .            | .            |
sticky  | outside      | port on cni0, six times | TCP      | here~ there~ | daemon=      | here~ there~ |
sticky  | here         | cluster IP, forgotten   | TCP      | here~ there= | .            | -            | a hairpin, when chance has it so; in IPVS mode nothing is forgotten while a test waits
"""

OTHER_ADDRESSES = """
service | from         | to                   | protocol     | iptables     | nftables | ipvs         | why
cluster | pod outside  | port on cni0         | TCP UDP SCTP | here~ there~ | daemon=  | here~ there~ | nftables: on the node's main address only
local   | outside      | port on cni0         | TCP UDP SCTP | here=        | daemon=  | here=        |
absent  | outside      | port on cni0         | TCP UDP      | drop         | daemon=  | there=!      |
empty   | outside      | port on cni0         | TCP UDP      | reject       | daemon=  | reject       |
guarded | outside      | port on cni0         | TCP UDP      | here~        | daemon=  | here~        |
own own-node | outside | port on cni0         | TCP          | here~        | daemon=  | here~        |
own-empty | outside    | port on cni0         | TCP UDP      | reject       | daemon=  | reject       |
guarded-node proxied | outside | port on cni0 | TCP          | here~        | daemon=  | here~        |
local-leaving | outside | port on cni0        | TCP          | here=        | daemon=  | here=        |
guarded-empty | outside | port on cni0        | TCP          | reject       | daemon=  | reject       |
cluster | node         | port on loopback     | TCP UDP      | here~ there~ | daemon=  | daemon=      | localhost node ports
absent  | node         | port on loopback     | TCP UDP      | there~       | daemon=  | daemon=      |
local-leaving | node   | port on loopback     | TCP          | there~       | daemon=  | daemon=      |
cluster | loopback     | node port            | TCP UDP      | here~ there~ | drop     | .            | from 127.0.0.1: Linux sends nothing from there to another machine, as route_localnet is off
absent  | cni0-address | node port            | TCP UDP      | there=       | .        | drop         | the node from its address on cni0, which is one of the cluster CIDR: taken for a pod; in IPVS mode node-2 has that address on kube-ipvs0 too
local-leaving | cni0-address | node port      | TCP          | there=       | .        | here=        |
daemon  | main-address | loopback             | TCP          | drop         | daemon=  | .            | KUBE-FIREWALL
daemon  | main-address | loopback             | UDP          | forbidden    | daemon=  | .            | KUBE-FIREWALL in OUTPUT already
daemon  | outside      | loopback on the wire | UDP          | drop         | .        | .            | KUBE-FIREWALL; else the node's kernel, as route_localnet is off
daemon  | outside      | stray SYN-ACK        | TCP          | drop         | reset    | .            | what conntrack calls invalid is dropped in iptables mode only; the pod resets it
"""

UNKNOWN_PORTS = """
service                            | from         | to                               | protocol | iptables | nftables | ipvs   | why
cluster local absent empty guarded guarded-node own own-node guarded-empty proxied own-empty | pod node | unknown port of cluster IP | TCP UDP | beyond= | reject | . | no rule knows it; nftables and IPVS mode refuse it
inside inside-absent leaving all-leaving local-leaving not-ready published sticky   | pod node | unknown port of cluster IP | TCP UDP | beyond= | reject | . |
cluster local absent empty local-leaving | pod outside node | unknown port of external IP | TCP UDP | beyond= | . | reject | kube-ipvs0 has taken the whole address
cluster local absent empty guarded guarded-node guarded-empty | pod outside node | unknown port of load balancer IP | TCP UDP | beyond= | . | reject | the load balancer trap
proxied | pod outside node | unknown port of load balancer IP | TCP UDP | beyond= | . | . |
local-leaving | pod outside | health port at external IP | TCP | beyond= | . | daemon= | let through to the node's own process at any address of kube-ipvs0
"""

FORWARD_DROP = """
service | from    | to        | protocol | iptables     | nftables | ipvs         | why
cluster | outside | node port | TCP UDP  | here~ there~ | drop     | here~ there~ | as Docker sets it: kube-proxy accepts what it has marked, and established traffic; no nftables table overrules another's drop
"""

INPUT_DROP = """
service | from    | to          | protocol | iptables | nftables | ipvs    | why
local-leaving | outside | health port | TCP | daemon=  | drop     | daemon= | nftables mode has no rule for it
"""

HOST_PORT = """
service | from        | to               | protocol | iptables     | nftables     | ipvs         | why
cluster | pod outside | load balancer IP | TCP      | here~ there~ | here~ there~ | here~ there~ | a CNI plugin's DNAT of port 80, after kube-proxy's rules, must not take a Service's traffic
cluster | pod         | cluster IP       | TCP      | here= there= | here= there= | here= there= |
cluster | pod outside | external IP      | TCP      | here~ there~ | here~ there~ | here~ there~ |
local   | outside     | external IP      | TCP      | here=        | here=        | here=        |
local   | pod         | external IP      | TCP      | here= there= | here= there= | here=        |
empty   | pod outside | cluster IP       | TCP UDP  | reject       | reject       | reject       | nor what nobody can answer
empty   | pod outside | external IP      | TCP UDP  | reject       | reject       | reject       |
empty   | pod outside | load balancer IP | TCP UDP  | reject       | reject       | reject       |
inside-absent | pod outside | cluster IP | TCP UDP  | drop         | drop         | reject       |
own-empty guarded-empty | pod | cluster IP | TCP    | reject       | reject       | reject       |
own-empty | pod       | cluster IP       | UDP      | reject       | reject       | reject       |
own-empty | pod       | load balancer IP | TCP UDP  | beyond=      | beyond=      | reject       | at an address of the node itself a host port is asked before the filters refuse
"""

NODE_HAS_ADDRESSES = """
service      | from            | to               | protocol | iptables | nftables | ipvs   | why
guarded-node | node            | load balancer IP | TCP      | here~    | .        | .      | as a cloud's agent sets it: the address asked for is the source, and the ranges hold the node
absent       | service-address | node port        | TCP UDP  | there~   | .        | drop   | the node's own traffic, from no pod's address; in IPVS mode not masqueraded, and node-2 has that address too
local-leaving | service-address | node port       | TCP      | there~   | .        | here=  |
empty own-empty | pod outside  | cluster IP       | TCP UDP  | daemon=  | reject   | .      | as NodeLocal DNSCache sets it; iptables mode asks for cluster IPs without endpoints in FORWARD and OUTPUT only
guarded-empty | pod outside    | cluster IP       | TCP      | daemon=  | reject   | .      |
empty own-empty | node         | cluster IP       | TCP UDP  | reject   | .        | .      |
"""

NOTHING_MARKED_LEAVES = """
service | from             | to         | protocol | iptables     | nftables | ipvs | why
cluster | pod outside node | node port  | TCP UDP  | here~ there~ | .        | .    | the mark is taken off after it has done its work: a packet that comes back, out of a tunnel, is not masqueraded again
"""

NODE_2_BARE = """
service   | from  | to                    | protocol     | iptables     | nftables | ipvs       | why
cluster   | there | cluster IP            | TCP UDP SCTP | here= there^ | .        | here= drop | node-1 gets it as it is, and may lead it back to who asks; IPVS: KUBE-LOOP-BACK knows a node's own endpoints only
not-ready | there | cluster IP            | TCP          | there^       | .        | drop       |
sticky    | there | cluster IP, forgotten | TCP          | here= there^ | .        | -          |
"""

ENDPOINT_GONE = """
service | from         | to         | protocol | iptables | nftables | ipvs  | why
cluster | acquaintance | cluster IP | UDP      | -        | -        | here= | expire_nodest_conn: the connection went with its real server, and the next datagram begins another
sticky  | acquaintance | cluster IP | TCP      | -        | -        | here= | expire_quiescent_template: nobody is kept to a real server that drains
"""

MASQUERADE_ALL = """
service | from | to         | protocol | iptables     | nftables | ipvs | why
cluster | pod  | cluster IP | TCP UDP  | here~ there~ | .        | .    |
"""

NO_CLUSTER_CIDR = """
service | from         | to          | protocol | iptables      | nftables | ipvs         | why
cluster | pod          | cluster IP  | TCP UDP  | here= there=  | .        | .            |
cluster | node         | cluster IP  | TCP UDP  | here= there=  | .        | here~ there~ | IPVS: a node asks from the very address that it asks for
cluster | outside      | cluster IP  | TCP UDP  | here= there=! | .        | .            | nothing tells that it is no pod
local   | pod          | node port   | TCP UDP  | here=         | .        | .            | nor that a pod is one
"""

NODE_PORT_ADDRESSES = """
service | from    | to               | protocol | iptables     | nftables | ipvs    | why
cluster | outside | node port        | TCP UDP  | here~ there~ | .        | .       | in 172.18.0.0/16
cluster | outside | port on cni0     | TCP UDP  | daemon=      | .        | .       | not in it
cluster | node    | port on loopback | TCP UDP  | daemon=      | .        | .       |
"""

NODE_PORTS_EVERYWHERE = """
service | from    | to               | protocol | iptables     | nftables | ipvs | why
cluster | outside | port on cni0     | TCP UDP  | here~ there~ | .        | .    | 0.0.0.0/0
cluster | node    | port on loopback | TCP UDP  | here~ there~ | daemon=  | .    |
"""

ROWS: tuple[Row, ...] = (
    *read_matrix("cluster", _THREE, CLUSTER),
    *read_matrix("local", _THREE, LOCAL),
    *read_matrix("absent", _TWO, ABSENT),
    *read_matrix("empty", _TWO, EMPTY),
    *read_list(INTERNAL_POLICY),
    *read_list(SOURCE_RANGES),
    *read_list(IP_MODE),
    *read_list(CONDITIONS),
    *read_list(AFFINITY),
    *read_list(OTHER_ADDRESSES),
    *read_list(UNKNOWN_PORTS),
    *read_list(FORWARD_DROP, weather="FORWARD drops"),
    *read_list(INPUT_DROP, weather="INPUT drops"),
    *read_list(HOST_PORT, weather="ports 80 and 83 are host ports"),
    *read_list(NODE_HAS_ADDRESSES, weather="node-1 has addresses of Services"),
    *read_list(NOTHING_MARKED_LEAVES, weather=weathers.NOTHING_MARKED_LEAVES),
    *read_list(NODE_2_BARE, weather="node-2 has no kube-proxy"),
    *read_list(ENDPOINT_GONE, weather="an endpoint is gone"),
    *read_list(MASQUERADE_ALL, setup="masqueradeAll"),
    *read_list(NO_CLUSTER_CIDR, setup="no clusterCIDR"),
    *read_list(NODE_PORT_ADDRESSES, setup="nodePortAddresses 172.18.0.0/16"),
    *read_list(NODE_PORTS_EVERYWHERE, setup="nodePortAddresses 0.0.0.0/0"),
)
