import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from journey_samples import CLIENT, POD, VIP, Story, headers, journey, samples

from labkit.chart.ladder import ladder_svg
from labkit.chart.ladder_plan import STEPS_SHOWN, plan_ladder
from labkit.chart.ladder_rules import rule_place
from labkit.chart.ladder_steps import LEVELS, journey_lanes, journey_steps
from labkit.chart.ladder_words import Narrator
from labkit.chart.svg import width_px
from labkit.errors import RequestError
from labkit.measure.journey.events import Lane, Packet, Rewrite
from labkit.measure.journey.form import from_json

TESTS = Path(__file__).parents[1]
GOLDEN, RECORDED = TESTS / "golden/chart", TESTS / "samples/journey/recorded"
SVG = "{http://www.w3.org/2000/svg}"
NODE = "172.18.0.11:40001"


def two_nodes():
    """A masqueraded connection to a pod on another node, through the lan."""
    base, story = journey("iptables"), Story()
    asked, sent = headers(CLIENT, VIP), headers(NODE, POD)
    story.tell(1, "client", "interface", out_interface="eth0", before=asked)
    story.tell(1, "node-1", "interface", in_interface="cni0", before=asked)
    mark = "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000"
    story.tell(1, "node-1", "rule", table="nat", chain="KUBE-MARK-MASQ", rule=1, compared=1, text=mark)
    masquerade = "-A KUBE-POSTROUTING -j MASQUERADE --random-fully"
    dnat = headers(CLIENT, POD)
    story.tell(1, "node-1", "nat", verdict="DNAT", before=asked, after=dnat)
    story.tell(1, "node-1", "route", verdict="to eth0 via 172.18.0.12", before=dnat)
    story.tell(1, "node-1", "route", verdict="to cni0", before=dnat)  # source validation comes later
    rule = {"table": "nat", "chain": "KUBE-POSTROUTING", "rule": 3, "compared": 3}
    story.tell(1, "node-1", "rule", text=masquerade, verdict="MASQUERADE", **rule)
    story.tell(1, "node-1", "nat", verdict="SNAT", before=dnat, after=sent)
    for where in ("lan", "node-2", "web-2"):
        story.tell(1, where, "interface", in_interface="eth0", before=sent)
    back = headers(POD, NODE, "SA")
    for where in ("node-2", "lan", "node-1"):
        story.tell(2, where, "interface", in_interface="eth0", before=back)
    undone = headers(VIP, CLIENT, "SA")
    story.tell(2, "node-1", "nat", verdict="DNAT and SNAT undone", before=back, after=undone)
    story.tell(2, "client", "interface", in_interface="eth0", before=undone)
    lanes = (("client", "client"), ("node-1", "node"), ("lan", "lan"), ("node-2", "node"), ("web-2", "pod"))
    rewrites = (
        Rewrite("node-1", "DNAT", "iptables", VIP, POD),
        Rewrite("node-1", "SNAT", "iptables", CLIENT, NODE),
    )
    outcome = replace(
        base.outcome, answered_by="default/web-2", reached="default/web-2", seen_as=NODE, rewrites=rewrites
    )
    return replace(
        base, lanes=tuple(Lane(*one) for one in lanes), events=tuple(story.events), outcome=outcome
    )


def long(packets=200, rules=60):
    """A connection of many packets whose first met many rules."""
    base = journey("iptables")
    story = Story()
    story.events = list(base.events[:4])
    for number in range(1, rules + 1):
        chain, text = f"CHAIN-WITH-A-LONG-NAME-{number}", " ".join(["-m comment --comment much"] * number)
        story.tell(1, "node-1", "rule", table="nat", chain=chain, rule=number, compared=number, text=text)
    story.tell(1, "web-1", "interface", in_interface="eth0", before=headers(CLIENT, POD))
    named = [Packet(1, "request", "SYN", headers(CLIENT, VIP))]
    for number in range(2, packets + 1):
        ends = [("client", CLIENT, VIP), ("web-1", CLIENT, POD)]
        if number % 2 == 0:
            ends = [("web-1", POD, CLIENT), ("client", VIP, CLIENT)]
        for way, (where, source, destination) in zip(("out_interface", "in_interface"), ends, strict=True):
            story.tell(number, where, "interface", **{way: "eth0"}, before=headers(source, destination))
        named.append(Packet(number, "reply" if number % 2 == 0 else "request", "data", headers(source, VIP)))
    return replace(base, events=tuple(story.events), packets=tuple(named))


def crowded():
    """More lanes than there is room for, with names longer than a lane."""
    base = two_nodes()
    more = tuple(Lane(f"shop-deployment-7d4b9c8f6d-{number}", "pod") for number in range(12))
    return replace(base, lanes=(*base.lanes, *more))


RECORDINGS = {path.stem: from_json(path.read_text()) for path in sorted(RECORDED.glob("*.json"))}
JOURNEYS = samples() | {"two nodes": two_nodes(), "long": long(), "crowded": crowded()}
JOURNEYS |= {f"recorded {name}": one for name, one in RECORDINGS.items()}
JOURNEYS["empty"] = replace(JOURNEYS["iptables"], events=(), packets=(), lanes=(), rulesets=())


@pytest.fixture(params=JOURNEYS, name="told")
def _told(request):
    return JOURNEYS[request.param]


@pytest.fixture(params=LEVELS, name="level")
def _level(request):
    return request.param


def texts(svg):
    return ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]


def kinds(one, level="summary"):
    return [step.kind for step in journey_steps(one, level)]


def test_rows_stand_below_each_other_and_words_beside_the_lanes(told, level):
    plan = plan_ladder(told, level)
    boxes = [row.box for row in plan.rows]
    assert all(upper.bottom <= lower.y for upper, lower in pairwise(boxes))
    assert all(head.box.right < plan.words_x for head in plan.heads)
    for row in plan.rows:
        baselines = [line.y for line in row.lines]
        assert baselines == sorted(set(baselines))
        assert row.box.y < baselines[0]
        assert baselines[-1] < row.box.bottom < plan.height
        room = plan.width - plan.words_x - 30
        for line in row.lines:
            if line.kind in {"code", "note"}:
                size = 11.5 if line.kind == "code" else 12.5
                assert width_px(line.words, size, mono=line.kind == "code") <= room


def test_lanes_do_not_overlap(told, level):
    heads = [head.box for head in plan_ladder(told, level).heads]
    assert not any(a.overlaps(b) for a, b in pairwise(heads))


def test_the_picture_stays_inside_its_frame(told, level):
    picture = ET.fromstring(ladder_svg(told, level))
    _, _, width, height = map(float, picture.get("viewBox").split())
    for mark in picture.iter():
        for name, limit in (("x", width), ("y", height)):
            assert 0 <= float(mark.get(name, 0)) <= limit
    assert picture.findtext(f"{SVG}title")
    assert picture.findtext(f"{SVG}desc")


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_text_of_the_picture(name):
    """The texts in the order in which they are drawn; tests/draw_pictures.py writes them anew."""
    expected = GOLDEN / f"ladder-{name}.expected"
    assert "\n".join(texts(ladder_svg(RECORDINGS[name]))) + "\n" == expected.read_text()


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_picture_says_what_the_journey_s_outcome_says(name):
    one = RECORDINGS[name]
    steps, written = journey_steps(one), "\n".join(texts(ladder_svg(one)))
    assert ("this rule chooses" in written or "IPVS chooses" in written) == (one.outcome.drop is None)
    assert ("drop" in kinds(one)) == (one.outcome.drop is not None)
    asked = [step.event for step in steps if step.kind == "nat" and step.packet == 1]
    assert len(asked) == len(one.outcome.rewrites)
    for event, rewrite in zip(asked, one.outcome.rewrites, strict=True):
        assert (event.namespace, event.verdict) == (rewrite.namespace, rewrite.kind)
        assert {rewrite.before, rewrite.after} <= set(written.split("\n"))
    if one.outcome.answered_by:
        assert f"For {one.question.client} the answer comes from the address that it called." in written


@pytest.mark.parametrize("name", RECORDINGS)
def test_each_rule_is_found_again_among_its_node_s_rules(name):
    one = RECORDINGS[name]
    linked = [(step, rule_place(step, one)) for step in journey_steps(one, "rules")]
    rules = [(step, place) for step, place in linked if step.event.kind == "rule" and step.event.line]
    assert rules
    for step, place in rules:
        number, line = place
        written = one.rulesets[number].text.splitlines()[line - 1].strip()
        assert step.event.verdict == "no match" or step.event.text in written


@pytest.mark.parametrize("name", ["iptables", "ipvs", "nftables"])
def test_a_summary_is_about_a_dozen_steps_and_names_what_matters(name):
    one = JOURNEYS[name]
    found = kinds(one)
    assert 8 <= len(found) <= 14
    assert found.count("choice") == 1
    assert found.count("nat") == 2
    written = "\n".join(texts(ladder_svg(one)))
    assert "source rewritten back (DNAT undone)" in written
    assert "For client the answer comes from the address that it called." in written


def test_the_choice_shows_the_rule_s_own_text():
    words = [Narrator(one).words(step) for one in [JOURNEYS["iptables"]] for step in journey_steps(one)]
    chosen = next(one for one in words if "chooses web-1" in one.title)
    assert chosen.code.endswith("--probability 0.25000000000 -j KUBE-SEP-4YRZ6ZLUEKTHXT5E")
    assert "1 in 4" in chosen.note
    assert "Compared up to here: 3 rules." in chosen.note


def test_a_rewriting_shows_before_and_after_and_its_rule():
    one = two_nodes()
    words = [Narrator(one).words(step) for step in journey_steps(one) if step.kind == "nat"]
    changes = [{change.what: (change.before, change.after) for change in each.changes} for each in words]
    assert changes[0] == {"source": (CLIENT, ""), "destination": (VIP, POD)}
    assert changes[1] == {"source": (CLIENT, NODE), "destination": (POD, "")}
    assert changes[2] == {"source": (POD, VIP), "destination": (NODE, CLIENT)}
    assert words[1].code == "-A KUBE-POSTROUTING -j MASQUERADE --random-fully"


def test_the_threads_look_changes_where_the_address_does():
    plan = plan_ladder(JOURNEYS["iptables"])
    rows = {row.number: row.step for row in plan.rows}
    first = [one.carries for one in plan.threads if rows[one.number].packet == 1]
    second = [one.carries for one in plan.threads if rows[one.number].packet == 2]
    assert first == sorted(first, reverse=True)  # service, then pod
    assert second == sorted(second)
    assert set(first) == set(second) == {"service", "pod"}


def direct():
    """A pod called at its own address: nothing is rewritten."""
    base, story = journey("iptables"), Story()
    for where in ("client", "node-1", "web-1"):
        way = "out_interface" if where == "client" else "in_interface"
        story.tell(1, where, "interface", **{way: "eth0"}, before=headers(CLIENT, POD))
    question = replace(base.question, service=POD, target=POD)
    outcome = replace(base.outcome, rewrites=())
    return replace(base, question=question, outcome=outcome, events=tuple(story.events))


def test_a_pod_called_at_its_own_address_is_no_service():
    one = direct()
    assert {thread.carries for thread in plan_ladder(one).threads} == {"pod"}
    assert "knows only this address" not in "".join(texts(ladder_svg(one)))


def later(base, *places):
    """The journey with one more packet, seen at these places one after the other."""
    story = Story()
    story.events = list(base.events)
    for number, where in enumerate(places):
        way = "in_interface" if number else "out_interface"
        story.tell(9, where, "interface", **{way: "eth0"}, before=headers(CLIENT, VIP))
    return replace(base, events=tuple(story.events))


@pytest.mark.parametrize(
    ("places", "carries"),
    [
        (("client", "node-1", "web-1"), ["service", "pod"]),
        (("node-1", "web-1"), ["pod"]),
        (("client", "node-1", "client"), ["service", "pod"]),
    ],
    ids=["a client asks", "a node asks", "a pod reaches itself"],
)
def test_a_later_packet_changes_where_the_first_was_rewritten(places, carries):
    plan = plan_ladder(later(JOURNEYS["iptables"], *places))
    threads = [thread for thread in plan.threads if thread.number == plan.rows[-1].number]
    assert [thread.carries for thread in threads] == carries
    assert threads[-1].arrow
    assert all(thread.points[0] != thread.points[1] for thread in threads)


def test_the_lan_is_a_lane_only_where_everything_is_shown():
    one = two_nodes()
    assert "lan" not in [lane.namespace for lane in journey_lanes(one, "rules")]
    assert "lan" in [lane.namespace for lane in journey_lanes(one, "everything")]
    hops = [(step.start, step.at) for step in journey_steps(one) if step.kind == "hop"]
    assert hops == [(0, 1), (1, 2), (2, 3), (3, 2), (2, 1), (1, 0)]


def test_only_the_last_of_several_routes_is_told():
    routes = [step.event.verdict for step in journey_steps(two_nodes()) if step.kind == "route"]
    assert routes == ["to cni0"]


def test_many_later_packets_are_folded_and_counted():
    found = journey_steps(long(packets=200))
    assert len(found) < 20
    passed = {number for step in found for number in step.packets}
    assert passed == set(range(3, 201))
    assert "195 more packets" in Narrator(long()).words(found[-1]).title


def test_rules_has_every_rule_and_everything_every_event():
    one = long()
    rules = [event for event in one.events if event.kind == "rule"]
    assert [step.event for step in journey_steps(one, "rules") if step.kind in {"rule", "choice"}] == rules
    told = {step.event.sequence for step in journey_steps(one, "everything")}
    assert told == {event.sequence for event in one.events}


def test_a_long_rule_is_cut_and_says_so():
    for row in plan_ladder(long(), "rules").rows:
        code = [line.words for line in row.lines if line.kind == "code"]
        whole = " ".join(row.words.code.split())
        assert " ".join(code) == whole or (len(code) == 4 and code[-1].endswith(" …"))
    assert any(line.words.endswith(" …") for row in plan_ladder(long(), "rules").rows for line in row.lines)


def test_of_very_many_steps_the_first_are_drawn_and_the_rest_are_counted():
    told = long(packets=600)
    count = len(journey_steps(told, "everything"))
    plan = plan_ladder(told, "everything")
    assert len(plan.rows) == STEPS_SHOWN < count
    assert plan.footer.startswith(f"{count - STEPS_SHOWN} more steps in journey.table().")


def test_a_drop_ends_the_way_and_says_why():
    one = JOURNEYS["reject"]
    drop = next(step for step in journey_steps(one) if step.kind == "drop")
    words = Narrator(one).words(drop)
    assert words.title == "SYN is rejected: ICMP port unreachable"
    assert "has no endpoints" in words.code
    last = journey_steps(one)[-1]
    assert (last.kind, last.start, last.at) == ("hop", 1, 0)


def test_what_is_inferred_says_so():
    one = JOURNEYS["iptables"]
    events = tuple(replace(event, evidence="inferred") for event in one.events)
    assert "this rule chooses web-1 (inferred)" in "\n".join(texts(ladder_svg(replace(one, events=events))))


def test_an_unknown_level_is_refused():
    with pytest.raises(RequestError, match="no level 'all'"):
        ladder_svg(JOURNEYS["iptables"], "all")
