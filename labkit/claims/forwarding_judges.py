"""Judges of the sentences on who forwards, and where: 1, 4, 5, 7 and 8. Pure: figures in, parts out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.claims.claim import CONFIRMED, CONTRADICTED, LIMITED, UNDECIDED, Part
from labkit.claims.figures import FEW, MANY, Figures, answers, exact, rule_count
from labkit.claims.plan import CALLS, HOOK_CALLS
from labkit.proxy.ipvs import DEVICE
from labkit.proxy.plans import MODES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.claims.claim import Verdict

UNFAIR_P = 1e-6  # fair shares have a smaller p once in a million


def judge_sharing(figures: Figures) -> Iterator[Part]:
    """Judge sentence 1: kube-proxy load-balances and forwards between a Service and its pods."""
    pods = figures.count("pods")
    shared = all(
        figures.count(answers(mode, "answered")) == figures.count(answers(mode, "connections"))
        and figures.count(answers(mode, "pods that answered")) == pods
        and figures[answers(mode, "p of the shares")].value >= UNFAIR_P
        for mode in MODES
    )
    shown = tuple(figures[answers(mode, "p of the shares")] for mode in MODES)
    why = (
        f"In each mode all {CALLS} connections were answered, by all {pods} pods, and chance explains the "
        "shares."
        if shared
        else "In some mode a connection was not answered, or chance does not explain the shares."
    )
    yield Part("load-balances", CONFIRMED if shared else CONTRADICTED, why, shown)
    sockets = tuple(figures[answers(mode, "sockets on the nodes")] for mode in MODES)
    if any(figure.value for figure in sockets):
        yield Part("forwards", CONFIRMED, "A program on the node takes the connections.", sockets)
    else:
        why = (
            "No program on a node has a socket, and yet all was forwarded: the kernel does it. kube-proxy "
            "only programs the kernel."
        )
        yield Part("forwards", LIMITED, why, sockets)


def judge_trap(figures: Figures) -> Iterator[Part]:
    """Judge sentence 4: in IPVS mode an Ingress and a Service must not share a load balancer."""
    bound = figures[f"IPVS: the Ingress' address on {DEVICE}"]
    callers = ("of 2 calls inside", "of 1 call outside")
    reached = [figures[f"{mode}: {who} to the Ingress"] for mode in ("iptables", "IPVS") for who in callers]
    shown = (bound, *reached)
    intercepted = [bound.value, *(figure.value for figure in reached)] == [1, 2, 1, 0, 1]
    why = (
        f"In IPVS mode the shared address is on {DEVICE}: a pod and a node no longer reach the Ingress, an "
        "outsider does; in iptables mode all do."
        if intercepted
        else "Pod and node were not kept from the Ingress by the address on the interface."
    )
    yield Part("the interface intercepts", CONFIRMED if intercepted else CONTRADICTED, why, shown)
    proxied = figures[f"{_PROXIED}: of 2 calls inside to the Ingress"]
    apart = figures["IPVS, two addresses: of 2 calls inside to the Ingress"]
    if proxied.value == 2:
        why = (
            "With `ipMode: Proxy` in the Service's status (beta since Kubernetes 1.30) they may share an "
            "address, also in IPVS mode; a second address helps, too."
        )
        yield Part("must not share", LIMITED, why, (proxied, apart))
    else:
        yield Part("must not share", CONFIRMED, "Not even `ipMode: Proxy` helps.", (proxied, apart))


def judge_hooks(figures: Figures) -> Iterator[Part]:
    """Judge sentence 5: in iptables mode NAT and load balancing happen in the nat table's PREROUTING hook."""
    met = {
        (caller, hook): figures[f"calls of {caller} that met KUBE-SERVICES at {hook}"]
        for caller in ("a pod", "the node")
        for hook in ("PREROUTING", "OUTPUT")
    }
    counts = {key: figure.value for key, figure in met.items()}
    answered = [figures.count(f"calls of {caller} that were answered") for caller in ("a pod", "the node")]
    verdict: Verdict
    if answered != [HOOK_CALLS, HOOK_CALLS]:
        verdict, why = UNDECIDED, "Not all calls were answered."
    elif counts["a pod", "PREROUTING"] != HOOK_CALLS:
        verdict, why = CONTRADICTED, "What comes in by an interface does not meet the rules at PREROUTING."
    elif counts["the node", "OUTPUT"] == HOOK_CALLS and counts["the node", "PREROUTING"] == 0:
        verdict = LIMITED
        why = (
            "True of what comes in by an interface. What the node's own programs send meets the rules at "
            "OUTPUT, and masquerade is done at POSTROUTING."
        )
    else:
        verdict, why = CONFIRMED, "All calls met the rules at PREROUTING, the node's own, too."
    yield Part("NAT and balancing at PREROUTING", verdict, why, tuple(met.values()))


def judge_transport(figures: Figures) -> Iterator[Part]:
    """Judge sentence 7: transport-layer balancing in the kernel, TCP and UDP, many servers as one address."""
    for protocol in ("TCP", "UDP"):
        answered = figures[f"IPVS, {protocol}: of 100 answered"]
        pods = figures[f"IPVS, {protocol}: pods that answered"]
        (real,) = (one for one in figures.starting(f"IPVS, {protocol}: real servers behind "))
        is_right = answered.value == 100 and pods.value == real.value > 1
        why = (
            "All answered, by every real server behind the one address."
            if is_right
            else "Some were not answered, or not by all real servers."
        )
        yield Part(protocol, CONFIRMED if is_right else CONTRADICTED, why, (answered, pods, real))
    sockets = figures["sockets on the node for port 53"]
    in_kernel = sockets.value == 0
    why = (
        "No program on the node has a socket for it."
        if in_kernel
        else "A program on the node listens for it."
    )
    yield Part("in the kernel", CONFIRMED if in_kernel else CONTRADICTED, why, (sockets,))


def judge_search(figures: Figures) -> Iterator[Part]:
    """Judge sentence 8: IPVS has an API and a search of its own instead of walking a rule list."""
    few, many = (figures[rule_count("ipvs", size)] for size in (FEW, MANY))
    listed = figures[rule_count("iptables-legacy", MANY)]
    is_constant = few.value == many.value
    why = (
        "The rules do not grow with the Services: they are no list of them. Virtual servers were "
        "programmed by IPVS' own netlink family."
        if is_constant
        else "The rules grow with the Services in IPVS mode, too."
    )
    yield Part("a search of its own", CONFIRMED if is_constant else CONTRADICTED, why, (few, many, listed))
    if many.value:
        why = (
            "kube-proxy's IPVS mode still needs iptables: masquerade, node ports and refusals are rules, "
            "which look addresses up in ipsets."
        )
        yield Part("instead of rules", LIMITED, why, (many,))
    else:
        yield Part("instead of rules", CONFIRMED, "There is no rule at all.", (exact("rules", 0),))


_PROXIED = "IPVS, ipMode: Proxy"
