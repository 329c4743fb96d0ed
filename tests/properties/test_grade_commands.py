"""A learner's commands: whatever the text, what is taken stays on a node, and is written as it was read."""

import contextlib

from hypothesis import example, given
from hypothesis import strategies as st

from labkit.errors import RequestError
from labkit.grade.faults.commands import GRAMMARS, read_commands

NODES = ("node-1", "node-2")
words = st.one_of(
    st.sampled_from(
        [
            "ip",
            "netns",
            "exec",
            "node-1",
            "web-1",
            "route",
            "add",
            "dev",
            "eth0",
            "10.0.0.0/8",
            "blackhole",
            "-t",
            "nat",
            "-A",
            "--modprobe=x",
            "include",
            "{",
            "}",
            ";",
            "'",
            '"',
            "\\",
            "|",
            "$(x)",
            "#",
            "KUBE-CLUSTER-IP",
            "net.ipv4.ip_forward=1",
            "-w",
            "element",
            "kube-proxy",
            "x",
        ]
    ),
    st.sampled_from(sorted(GRAMMARS)),
    st.text(max_size=8),
)
lines = st.tuples(
    st.sampled_from(["ip netns exec node-1 ", "ip netns exec node-2 ", ""]), st.lists(words, max_size=8)
).map(lambda parts: parts[0] + " ".join(parts[1]))


@given(st.lists(lines, max_size=4).map("\n".join))
@example("ip netns exec node-1 iptables-legacy -A INPUT -m comment --comment 'a b' -j ACCEPT")
@example("ip netns exec node-1 nft add element ip kube-proxy x '{ 1.2.3.4 . tcp . 80 : drop }'")
def test_what_is_taken_can_be_written_and_read_again(text):
    with contextlib.suppress(RequestError):
        commands = read_commands(text, NODES)
        assert all(one.node in NODES and one.argv[0] in GRAMMARS for one in commands)
        assert read_commands("\n".join(map(str, commands)), NODES) == commands
