"""Both guests, the shipped and the packaged one, carry the lab; `labkit guest` names, chooses, removes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from guest.launches import DEADLINE_S, LABKIT

from labkit.guest.candidates import PACKAGED, SHIPPED, list_candidates

KNOWN = list_candidates({"XDG_DATA_HOME": "/nonexistent"})
HERE = {candidate.name: candidate for candidate in KNOWN if not candidate.problem}


@pytest.fixture(params=[SHIPPED, PACKAGED])
def guest(request):
    if request.param not in HERE:
        pytest.skip(f"the {request.param} guest is not installed")
    return request.param


@pytest.fixture
def labkit(tmp_path):
    """Run labkit as a user whose data is in a folder of its own."""
    env = {name: value for name, value in os.environ.items() if name != "LABKIT_GUEST"}
    env.update(XDG_DATA_HOME=str(tmp_path / "data"), PYTHONPATH=os.pathsep.join(map(str, _paths())))

    def run(*words, **more):
        done = subprocess.run(
            (*LABKIT, *words), env={**env, **more}, capture_output=True, text=True,
            timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return run


def _paths():
    import labkit_guest

    return Path(__file__).parents[2], Path(labkit_guest.__file__).parents[1]


def test_a_command_s_output_and_status_come_back_from_either(labkit, guest):
    status, out, err = labkit("exec", "--guest", guest, "--", "sh", "-c", "uname -r; exit 5")
    assert (status, err) == (5, "")
    assert ("labkit" in out) == (guest == SHIPPED)


def test_doctor_names_the_guest_and_what_it_can_do(labkit, guest):
    status, out, _ = labkit("doctor", "--guest", guest, "--json")
    report = json.loads(out)
    assert status == 0
    assert report["linux"]["why"].startswith(guest)
    found = report["capabilities"]
    assert {"rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq"} <= set(
        found["schedulers"]
    )
    assert found["link_kinds"] == ["dummy", "veth", "bridge"]
    assert all(found[name] for name in ("netem", "iptables_legacy", "ipset", "trace"))
    if guest == SHIPPED:
        assert "twos" in found["schedulers"]
        assert found["nf_tables"] == ("nft" not in found["missing_tools"])


FORWARD = """
set -e
for n in client pod; do
    ip netns add $n; ip link add $n type veth peer name eth0 netns $n
    ip -n $n link set lo up; ip -n $n link set eth0 up; ip link set $n up
done
ip addr add 10.1.0.1/24 dev client; ip addr add 10.2.0.1/24 dev pod
ip -n client addr add 10.1.0.2/24 dev eth0; ip -n client route add default via 10.1.0.1
ip -n pod addr add 10.2.0.2/24 dev eth0; ip -n pod route add default via 10.2.0.1
echo 1 > /proc/sys/net/ipv4/ip_forward
PROGRAM
mkfifo /run/ready
ip netns exec pod PYTHON -IS -c '
import socket
server = socket.create_server(("10.2.0.2", 80))
open("/run/ready", "w").close()
server.accept()[0].sendall(b"hello from the pod")' &
cat /run/ready
exec ip netns exec client PYTHON -IS -c '
import socket
print(socket.create_connection(("10.96.0.1", 80)).recv(100).decode())'
"""
NFT = """nft -f - <<END
table ip t {
    chain endpoint { tcp dport 80 dnat to 10.2.0.2:80
    }
    chain services {
        type nat hook prerouting priority dstnat
        ip daddr 10.96.0.1 tcp dport 80 numgen random mod 1 vmap { 0 : goto endpoint }
    }
}
END"""
PROGRAMS = {
    "iptables": "iptables-legacy -t nat -A PREROUTING -d 10.96.0.1 -p tcp --dport 80"
    " -m statistic --mode random --probability 1.0 -j DNAT --to-destination 10.2.0.2:80",
    "ipvs": "ip link add kube-ipvs0 type dummy; ip addr add 10.96.0.1/32 dev kube-ipvs0\n"
    "ipvsadm -A -t 10.96.0.1:80 -s rr; ipvsadm -a -t 10.96.0.1:80 -r 10.2.0.2:80 -m",
    "twos": "ip link add kube-ipvs0 type dummy; ip addr add 10.96.0.1/32 dev kube-ipvs0\n"
    "ipvsadm -A -t 10.96.0.1:80 -s twos; ipvsadm -a -t 10.96.0.1:80 -r 10.2.0.2:80 -m",
    "nftables": NFT,
    "iptables-nft": "iptables-nft -t nat -A PREROUTING -d 10.96.0.1 -p tcp --dport 80"
    " -j DNAT --to-destination 10.2.0.2:80",
}
NEWER = {"twos", "nftables", "iptables-nft"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_service_is_forwarded_by_every_mode_that_a_guest_offers(labkit, guest, program):
    if guest == PACKAGED and program in NEWER:
        pytest.skip("Debian's guest has neither nf_tables for IPv4 nor twos")
    if program == "nftables" and shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin") is None:
        pytest.skip("nft is not installed")
    script = FORWARD.replace("PYTHON", sys.executable).replace("PROGRAM", PROGRAMS[program])
    status, out, err = labkit("exec", "--guest", guest, "--", "sh", "-c", script)
    assert (status, out.strip()) == (0, "hello from the pod"), err


def own_build(data, name):
    """Put a copy of the shipped Linux where an own build stands."""
    import labkit_guest

    folder = Path(data, "labkit/guest", name)
    folder.mkdir(parents=True)
    shutil.copy2(HERE[SHIPPED].binary, folder / "linux")
    shutil.copy2(labkit_guest.MANIFEST, folder / "manifest.json")
    return folder


@pytest.mark.skipif(SHIPPED not in HERE, reason="the shipped guest is not installed")
def test_a_build_is_listed_used_chosen_damaged_and_removed(labkit, tmp_path):
    folder = own_build(tmp_path / "data", "mine")
    _, out, _ = labkit("guest", "list")
    assert out.startswith("* mine ")
    assert out.splitlines()[-1] == "mine is used: it is the first that can be used"
    _, out, _ = labkit("doctor", "--json")
    assert json.loads(out)["linux"]["binary"] == str(folder / "linux")

    status, out, _ = labkit("guest", "use", "shipped")
    assert (status, out.splitlines()[-1].split(":")[0]) == (0, "shipped is used")
    status, out, _ = labkit("guest", "use", "mine")
    assert (status, out.splitlines()[-1].split(":")[0]) == (0, "mine is used")

    with (folder / "linux").open("r+b") as binary:
        binary.seek(100_000)
        binary.write(b"damage")
    status, out, _ = labkit("exec", "--", "uname", "-r")
    assert (status, "labkit" in out) == (0, True)
    _, out, _ = labkit("guest", "list", "--json")
    rows = {row["name"]: row for row in json.loads(out)["guests"]}
    assert (rows["mine"]["problem"], rows["mine"]["chosen"]) == ("it is damaged", False)
    assert rows[SHIPPED]["chosen"]
    status, _, err = labkit("guest", "use", "mine")
    assert status == 3
    assert "mine cannot be used: it is damaged" in err

    assert labkit("guest", "remove", "mine")[0] == 0
    assert not folder.exists()
    assert labkit("guest", "remove", "mine")[0] == 2
    assert labkit("guest", "remove", "shipped")[0] == 2


def test_a_build_without_its_tools_is_refused_before_it_starts(labkit, tmp_path):
    cache = tmp_path / "cache"
    status, out, err = labkit("guest", "build", XDG_CACHE_HOME=str(cache), PATH=str(tmp_path))
    assert (status, out) == (3, "")
    assert "not found: gcc, ld, strip, make, flex, bison, bc, tar, xz" in err
    assert "to do: sudo apt-get install bc binutils" in err
    assert not list(cache.rglob("source*"))


def test_a_build_from_what_is_no_source_is_refused(labkit, tmp_path):
    (tmp_path / "archive.tar").write_text("no archive")
    status, _, err = labkit(
        "guest", "build", "--source", str(tmp_path / "archive.tar"), XDG_CACHE_HOME=str(tmp_path / "cache")
    )
    assert status in {1, 3}
    assert "archive.tar cannot be unpacked" in err or "cannot be built here" in err
    assert not (tmp_path / "data").exists()
