"""Record the sample journeys anew, and the golden texts of their summaries.

labkit exec --virtual-time -- env PYTHONPATH=tests python tests/record_journeys.py
"""

from __future__ import annotations

from pathlib import Path

from labkit.lab import Lab
from labkit.measure.journey.form import to_json

HERE = Path(__file__).parent
RECORDED, GOLDEN = HERE / "samples" / "journey" / "recorded", HERE / "golden" / "journey"


def record(lab: Lab, name: str, client: str = "client", service: str = "web") -> None:
    with lab.journey(client, service=service) as journey:
        (RECORDED / f"{name}.json").write_text(to_json(journey))
        (GOLDEN / f"{name}.expected").write_text(f"{journey.text()}\n")


def main() -> None:
    with Lab.open("web") as lab:
        for mode in ("iptables", "ipvs", "nftables"):
            lab.switch(mode)
            record(lab, mode)
            record(lab, f"{mode}-node-port", "outside", "node-1:30080")
        for pod in lab.cluster.pods:
            lab.set_endpoint(pod.name, "removed")
        for mode in ("iptables", "ipvs", "nftables"):
            lab.switch(mode)
            record(lab, f"{mode}-reject")


if __name__ == "__main__":
    main()
