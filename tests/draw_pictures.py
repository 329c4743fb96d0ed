"""Write the golden texts of the pictures anew: python tests/draw_pictures.py."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from labkit.chart.ladder import ladder_svg
from labkit.chart.topology import topology_diagram
from labkit.measure.journey.form import from_json
from labkit.spec.addressing import plan_addresses
from labkit.spec.cluster import read_manifests

HERE = Path(__file__).parent
RECORDED, GOLDEN = HERE / "samples/journey/recorded", HERE / "golden/chart"


def write(name: str, svg: str) -> None:
    texts = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    lines = "".join(f"{''.join(text.itertext())}\n" for text in texts)
    (GOLDEN / f"{name}.expected").write_text(lines)


def main() -> None:
    for path in RECORDED.glob("*.json"):
        write(f"ladder-{path.stem}", ladder_svg(from_json(path.read_text())))
    for name in ("web", "shop"):
        cluster = read_manifests([name])
        write(f"topology-{name}", topology_diagram(cluster, plan_addresses(cluster), f"The lab {name}").svg)


if __name__ == "__main__":
    main()
