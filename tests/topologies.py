"""Random topologies for property tests: all that a clab file can say and the lab can build."""

from __future__ import annotations

from hypothesis import strategies as st

from labkit.spec.topology import (
    CONTAINER,
    MACVLAN_MODES,
    Bind,
    Endpoint,
    HealthCheck,
    Link,
    Management,
    StageCommand,
    Topology,
    TopologyNode,
    Wait,
)

# Characters that YAML, the variables' syntax and shells each treat in their own way.
AWKWARD = "aZ09 -_.:/$#'\"{}[]&*!|>%@`,?\\~=ü"
text = st.text(AWKWARD, min_size=1, max_size=12).filter(lambda value: "{{" not in value)
words = st.lists(st.text("abz09.-$_", min_size=1, max_size=6), min_size=1, max_size=3).map(" ".join)
names = st.from_regex(r"[a-z][a-z0-9-]{0,6}", fullmatch=True).filter(
    lambda name: name not in {"host", "mgmt-net", "macvlan"}
)
keys = st.sampled_from(["A", "B_C", "on", "1", "yes"])
pairs = st.dictionaries(keys, text | st.sampled_from(["1", "yes", "0x10", "null", ""]), max_size=3).map(
    lambda made: tuple(sorted(made.items()))
)
sysctls = st.dictionaries(
    st.sampled_from(["net.ipv4.ip_forward", "net.core.somaxconn"]), words, max_size=2
).map(lambda made: tuple(sorted(made.items())))
paths = st.from_regex(r"/[a-z]{1,4}", fullmatch=True)
binds = st.lists(
    st.builds(Bind, paths, paths, st.booleans()), max_size=2, unique_by=lambda bind: bind.target
).map(lambda made: tuple(sorted(made, key=lambda bind: bind.target)))
checks = st.builds(
    HealthCheck,
    st.lists(words, min_size=1, max_size=2).map(tuple),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 9),
    st.integers(1, 9),
)
macs = st.just("") | st.from_regex(r"02(:[0-9a-f]{2}){5}", fullmatch=True)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Draw a topology in which nobody waits in a circle: waits lead to earlier nodes."""
    count = draw(st.integers(1, 5))
    drawn = draw(st.lists(names, min_size=count, max_size=count, unique=True))
    nodes: list[TopologyNode] = []
    for name in drawn:
        nodes.append(_node(draw, name, nodes))
    return Topology(
        name=draw(names),
        nodes=tuple(nodes),
        links=_links(draw, nodes),
        management=draw(st.sampled_from([Management(), Management("br0", "10.0.0.0/24", "10.0.0.9", 1400)])),
        prefix=draw(st.none() | st.just("") | names),
    )


def _node(draw: st.DrawFn, name: str, before: list[TopologyNode]) -> TopologyNode:
    kind = draw(st.sampled_from(["linux", "linux", "bridge", "host"]))
    hosts = [node.name for node in before if node.kind == "linux"]
    modes = ["", "none", "host", *(CONTAINER + one for one in hosts)]
    mode = draw(st.sampled_from(modes)) if kind == "linux" else ""
    healthy = [node.name for node in before if node.healthcheck]
    waits = []
    for stage in draw(
        st.lists(st.sampled_from(["create", "create-links", "configure", "healthy"]), max_size=2)
    ):
        if before:
            waits.append(
                Wait(
                    stage, draw(st.sampled_from(before)).name, draw(st.sampled_from(["create", "configure"]))
                )
            )
        if healthy:
            waits.append(Wait(stage, draw(st.sampled_from(healthy)), "healthy"))
    commands = [
        StageCommand(stage, draw(words), draw(st.booleans()), draw(st.booleans()))
        for stage in draw(st.lists(st.sampled_from(["create-links", "configure", "healthy"]), max_size=2))
    ]
    order = ["create", "create-links", "configure", "healthy", "exit"]
    return TopologyNode(
        name=name,
        kind=kind,
        group=draw(st.just("") | text),
        network_mode=mode,
        image=draw(st.just("") | text),
        cmd=draw(st.just("") | text),
        user=draw(st.just("") | text),
        env=draw(pairs),
        labels=draw(pairs),
        sysctls=() if kind != "linux" or mode not in {"", "none"} else draw(sysctls),
        binds=draw(binds),
        exec=() if kind == "bridge" else tuple(draw(st.lists(words, max_size=2))),
        waits=tuple(sorted(dict.fromkeys(waits), key=lambda wait: order.index(wait.stage))),
        stage_commands=tuple(sorted(commands, key=lambda one: order.index(one.stage))),
        healthcheck=draw(st.none() | checks),
    )


def _links(draw: st.DrawFn, nodes: list[TopologyNode]) -> tuple[Link, ...]:
    links = []
    for number in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["veth", "host", "mgmt-net", "macvlan", "dummy"]))
        ends = [
            Endpoint(draw(st.sampled_from(nodes)).name, f"i{number}{side}", draw(macs))
            for side in range(2 if kind == "veth" else 1)
        ]
        mode = draw(st.sampled_from(sorted(MACVLAN_MODES))) if kind == "macvlan" else ""
        mtu = 9500 if kind == "macvlan" else draw(st.sampled_from([1500, 9500]))
        host_interface = "" if kind in {"veth", "dummy"} else f"h{number}"
        links.append(Link(kind, tuple(ends), host_interface, mtu, mode))
    return tuple(links)
