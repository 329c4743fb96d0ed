"""Labs that a test has to itself: balancers, probes and clients of other clusters, in the guest."""

import pytest
from health_clusters import QUICK

from labkit import Lab
from labkit.errors import RequestError
from labkit.spec.text import Text
from labkit.traffic.flow import Target
from labkit.traffic.retrying import CallPlan, call_repeatedly


def test_who_answers_in_the_trap_is_the_node_itself(nothing_left):
    from scapy.layers.inet import ICMP, IP, TCP

    with Lab.open("ingress-trap", mode="ipvs") as lab:
        answer = lab.send(IP(dst="203.0.113.10") / TCP(sport=5001, dport=80, flags="S"))
        assert ICMP in answer, "KUBE-IPVS-FILTER rejects what has no virtual server"
        assert (answer[ICMP].type, answer[ICMP].code) == (3, 3)
        bound = lab.nodes["node-1"].command(["ip", "-o", "address", "show", "kube-ipvs0"]).stdout
        assert "inet 203.0.113.10/32" in bound
        assert lab.balancer.counts()["203.0.113.10:80/TCP"].accepted == 0


def test_the_balancer_takes_nodes_in_turns(nothing_left):
    with Lab.open("ingress-two-addresses") as lab:
        for _ in range(6):
            lab.clients["outside"].command(["curl", "-s", "-m", "3", "http://203.0.113.10:8080"])
        counted = lab.balancer.counts()["203.0.113.10:8080/TCP"]
        assert (counted.accepted, dict(counted.forwarded)) == (6, {"node-1": 3, "node-2": 3})


def test_a_lab_without_a_balancer_says_so(nothing_left):
    with Lab.open("web") as lab:
        with pytest.raises(RequestError, match="no load balancer") as refused:
            lab.balancer.counts()
        assert "ingress-trap" in refused.value.todo
        with pytest.raises(RequestError, match="no network namespace 'web-9'"):
            lab.route("web-9", "10.0.0.1")
        with pytest.raises(RequestError, match="no way to 'nowhere'"):
            lab.route("web-1", "nowhere")


UDP_AND_HOSTS = """
apiVersion: v1
kind: Pod
metadata: {name: names, labels: {app: names}}
spec:
  containers:
    - name: server
      ports: [{containerPort: 5353, protocol: UDP}, {containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: names}
spec:
  type: LoadBalancer
  selector: {app: names}
  ports:
    - {name: dns, port: 53, targetPort: 5353, protocol: UDP}
    - {name: http, port: 8080}
status: {loadBalancer: {ingress: [{ip: 172.18.9.9}]}}
---
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec: {type: NodePort, selector: {app: nobody}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: names}
spec:
  rules:
    - host: names.test
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: names, port: {number: 8080}}}}
          - {path: /none, pathType: Prefix, backend: {service: {name: nobody, port: {number: 80}}}}
status: {loadBalancer: {ingress: [{ip: 172.18.9.9}]}}
"""


def test_udp_hosts_and_paths(nothing_left):
    with Lab.open(Text("udp.yaml", UDP_AND_HOSTS)) as lab:
        address = lab.clients["outside"].run(lambda: lab._plan.clients["outside"].address)
        calls = call_repeatedly(
            lab.clients["outside"], address, Target("172.18.9.9", 53, "UDP"), CallPlan(calls=3, every_s=0)
        )
        assert [call.attempts[-1].pod for call in calls] == ["default/names"] * 3
        assert lab.balancer.counts()["172.18.9.9:53/UDP"].accepted == 3

        def status(host, path):
            url = f"http://172.18.9.9{path}"
            return lab.clients["outside"].command(
                ["curl", "-s", "-m", "9", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Host: {host}", url]
            ).stdout  # fmt: skip

        assert status("names.test", "/") == "200"
        assert status("other.test", "/") == "404"
        assert status("names.test", "/none") == "503"
        assert lab.balancer.counts()["172.18.9.9:80/TCP"].failed == 1


def test_a_udp_client_keeps_its_port_and_so_its_pod(nothing_left):
    with Lab.open("stale-udp", mode="ipvs") as lab:
        (pod,) = lab.call("names", calls=4, every_s=0.0).answers
        (other,) = lab.call("names", calls=4, every_s=0.0).answers  # another call(), another port
        assert {pod, other} == {"default/names-1", "default/names-2"}


def test_a_pod_is_ready_from_the_start_and_after_a_revival_when_its_probe_has_succeeded(nothing_left):
    late = QUICK.replace("periodSeconds: 1", "periodSeconds: 1, initialDelaySeconds: 3600")
    with Lab.open(Text("late.yaml", late), mode="ipvs") as lab:
        assert [pod.ready for pod in lab.cluster.pods] == [True] * 3
        assert len(lab.call("web", calls=3, every_s=0.0).answers) == 3
        for pod in lab.pods:
            lab.revive(pod)
        assert [pod.ready for pod in lab.cluster.pods] == [False] * 3
        for mode in lab.modes:
            lab.switch(mode)
            assert lab.call("web", calls=1, retries=0).errors == {"refused": 1}, mode
        node = lab.cluster.nodes[0].address
        asked = lab.clients["outside"].command(["curl", "-si", "-m", "5", f"http://{node}:32000"])
        assert asked.stdout.startswith("HTTP/1.1 503")
