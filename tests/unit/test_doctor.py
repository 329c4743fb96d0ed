"""What `labkit doctor` concludes from what a Linux can do."""

from __future__ import annotations

import pytest

from labkit.cli.doctor import Finding, describe, judge

EVERYTHING = {
    "schedulers": ["rr", "wrr", "lc"],
    "link_kinds": ["dummy", "veth", "bridge"],
    "netem": True,
    "iptables_legacy": True,
    "ipset": True,
    "nf_tables": False,
    "trace": True,
    "missing_tools": {},
}


def test_a_linux_with_everything_has_no_problem():
    assert judge(EVERYTHING) == ("", "", "")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"schedulers": []}, "the lab's Linux lacks IPVS"),
        ({"link_kinds": ["veth"]}, "the lab's Linux lacks dummy, bridge"),
        ({"iptables_legacy": False, "ipset": False}, "the lab's Linux lacks iptables, ipset"),
    ],
)
def test_what_a_lab_cannot_do_without_is_a_problem(changed, problem):
    assert judge({**EVERYTHING, **changed}) == (problem, "", "use User-Mode Linux: --guest uml")


def test_programs_that_are_missing_come_with_the_one_command_that_installs_them():
    missing = {"ipset": "ipset", "ip": "iproute2", "tc": "iproute2"}
    problem, where, todo = judge({**EVERYTHING, "ipset": False, "missing_tools": missing})
    assert problem == "the lab's Linux lacks ipset"
    assert where == "programs not found: ipset, ip, tc"
    assert todo == "sudo apt-get install iproute2 ipset"


def test_a_missing_program_that_the_lab_can_do_without_is_no_problem():
    problem, _, todo = judge({**EVERYTHING, "missing_tools": {"tcpdump": "tcpdump"}})
    assert (problem, todo) == ("", "sudo apt-get install tcpdump")


def test_the_findings_say_what_where_and_what_to_do():
    lines = describe(Finding({}, {}, {}, "there is none", "this machine", "install one"))
    start = lines.index("No lab can run here: there is none")
    assert lines[start + 1 : start + 3] == ["  where: this machine", "  to do: install one"]
    assert any(line.startswith("  arm64") for line in lines)
