"""10-way-out: a manifest in which an Ingress and a Service no longer get in each other's way in IPVS mode.

Drawn is what the cloud can do: rent a second address, or understand `ipMode: Proxy`. The answer is the mended
manifest; it is opened in IPVS mode and called from a pod, from a node and from outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.errors import SpecError
from labkit.grade.exercise import Exercise, Variable
from labkit.grade.exercises.publishing import INGRESS_PORT, call, draw_published
from labkit.grade.mark import Finding
from labkit.lab import Lab
from labkit.spec.cluster import read_manifests
from labkit.spec.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from labkit.grade.exercise import Given
    from labkit.spec.model import ClusterSpec

NAME = "10-way-out"


def plan_draw(random: Random) -> Given:
    """Return the manifest of a trap, the cloud's addresses, and whether it understands `ipMode`."""
    published = draw_published(random)
    has_second = random.random() < 0.5
    return {
        "manifest": published.manifest(),
        "app": published.app,
        "api": published.api,
        "api_port": published.api_port,
        "addresses": [published.address, *([published.second_address] if has_second else [])],
        "cloud_knows_ip_mode": not has_second,
    }


def judge(given: Given, manifest: Any) -> Iterator[Finding]:
    """Open the manifest in IPVS mode. What worked before counts only together with what did not."""
    app, api = given["app"], given["api"]
    try:
        addresses = _published_addresses(given, manifest)
    except ValueError as error:
        todo = "change only the addresses, or how kube-proxy is to treat them, within what the cloud has"
        yield Finding("a manifest that the cloud can take", 0.0, 5.0, _wanted(given), str(error), todo)
        return
    with Lab.open(Text(NAME, manifest), mode="ipvs") as lab:
        seen = {
            (name, caller): call(lab, caller, addresses[name], port)
            for name, port in ((app, INGRESS_PORT), (api, given["api_port"]))
            for caller in (f"{app}-1", "node-1", "outside")
        }
    inside = [(app, f"{app}-1"), (app, "node-1")]
    for name, caller in inside:
        yield _answered([(name, caller)], seen, 2.0, f"ask node-1: ip route get {addresses[name]}")
    if all(_is_answered(one, seen) for one in inside):
        others = [one for one in seen if one not in inside]
        yield _answered(others, seen, 1.0, "look at the Service's own address and port again")
    else:
        todo = f"first mend {app}"
        yield Finding("all others still answered", 0.0, 1.0, "four calls answered", "not counted yet", todo)


def _published_addresses(given: Given, manifest: Any) -> dict[str, str]:
    """Return the address of the Ingress and of the Service. Raises ValueError for what cannot be taken."""
    if not isinstance(manifest, str):
        raise ValueError(f"a {type(manifest).__name__}, not a manifest's text")  # noqa: TRY004  a refusal
    try:
        cluster = read_manifests([Text(NAME, manifest)])
    except SpecError as error:
        raise ValueError(error.message) from error
    found = _load_balancers(cluster, given)
    used = {name: {entry.ip for entry in entries} for name, entries in found.items()}
    if strange := set().union(*used.values()) - set(given["addresses"]):
        raise ValueError(f"the cloud has no address {', '.join(sorted(strange))}")
    proxied = any(entry.ip_mode == "Proxy" for entries in found.values() for entry in entries)
    if proxied and not given["cloud_knows_ip_mode"]:
        raise ValueError("ipMode: Proxy, which this cloud does not know")
    return {name: min(addresses) for name, addresses in used.items()}


def _load_balancers(cluster: ClusterSpec, given: Given) -> dict[str, Any]:
    ingresses = {one.key: one.load_balancer for one in cluster.ingresses}
    services = {one.key: one.load_balancer for one in cluster.services if one.type == "LoadBalancer"}
    app, api = given["app"], given["api"]
    found = {app: ingresses.get(f"default/{app}"), api: services.get(f"default/{api}")}
    for name, entries in found.items():
        if not entries:
            raise ValueError(f"{name} has no address of the load balancer any more")
    return found


def _wanted(given: Given) -> str:
    proxy = "ipMode allowed" if given["cloud_knows_ip_mode"] else "no ipMode"
    return f"{given['app']} and {given['api']} on {' or '.join(given['addresses'])}, {proxy}"


def _is_answered(one: tuple[str, str], seen: dict[tuple[str, str], str]) -> bool:
    return f"pod=default/{one[0]}-" in seen[one]


def _answered(
    ones: Sequence[tuple[str, str]], seen: dict[tuple[str, str], str], most: float, todo: str
) -> Finding:
    failed = [one for one in ones if not _is_answered(one, seen)]
    named = "; ".join(f"{name} from {caller}" for name, caller in ones)
    shown = "; ".join(f"{name} from {caller}: {seen[name, caller]}" for name, caller in failed or ones[:1])
    expected = "answered by a pod of it"
    return Finding(named, 0.0 if failed else most, most, expected, shown, todo if failed else "")


EXERCISE = Exercise(NAME, 5.0, plan_draw, Variable("mended"), judge)
