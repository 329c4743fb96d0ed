"""Which route of an Ingress a request takes, by its Host and its path (networking.k8s.io/v1, IngressRule).

Routes are mappings (`host`, `path`, `is_exact`), in the order to try them. Standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def choose_route(routes: Iterable[dict[str, Any]], head: bytes) -> dict[str, Any] | None:
    """Return the first of `routes` for the request with this head, as an Ingress matches hosts and paths."""
    request, _, rest = head.decode("latin-1").partition("\r\n")
    words = request.split(" ")
    path = words[1].partition("?")[0] if len(words) == 3 else ""
    lines = (line.partition(":") for line in rest.split("\r\n"))
    host = next((value.strip() for name, _, value in lines if name.lower() == "host"), "")
    host = host.rpartition(":")[0] if ":" in host else host
    return next(
        (route for route in routes if fits_host(route["host"], host) and fits_path(route, path)), None
    )


def fits_host(wanted: str, host: str) -> bool:
    """Tell whether a rule's host takes in a request's: `*.` stands for exactly one label."""
    if wanted.startswith("*."):
        label, _, parent = host.lower().partition(".")
        return bool(label) and parent == wanted[2:].lower()
    return not wanted or wanted.lower() == host.lower()


def fits_path(route: dict[str, Any], path: str) -> bool:
    """Tell whether a route takes in a path: as a prefix `/foo` takes `/foo/bar`, not `/foobar`."""
    if route["is_exact"]:
        return bool(route["path"] == path)
    prefix = route["path"].rstrip("/")
    return path == prefix or path.startswith(f"{prefix}/")
