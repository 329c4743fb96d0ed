"""Lab: a small cluster, alive: what a lesson holds in its hand.

    lab = Lab.open("web", mode="iptables")
    result = lab.measure("web", connections=300)
    lab.switch("ipvs", scheduler="rr")

It composes the layers below and holds no logic of its own.
"""

from labkit.lab.lab import Lab
from labkit.lab.linux import require_guest

__all__ = ["Lab", "require_guest"]
