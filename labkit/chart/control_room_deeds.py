"""Deed: something done to a lab that is also one line of Python. Pure until it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.lab import Lab


@dataclass(frozen=True, slots=True)
class Deed:
    """A call of one of the Lab's methods, with its arguments; `python` is the line that does the same."""

    method: str
    arguments: tuple[Any, ...] = ()
    named: tuple[tuple[str, Any], ...] = ()

    @property
    def python(self) -> str:
        """The line of Python: `lab.kill("web-1", "unreachable")`."""
        given = [_literal(one) for one in self.arguments]
        given += [f"{name}={_literal(one)}" for name, one in self.named]
        return f"lab.{self.method}({', '.join(given)})"

    def do(self, lab: Lab) -> Any:
        """Do it to a lab, and return what the method returns. Raises what the method raises."""
        return getattr(lab, self.method)(*self.arguments, **dict(self.named))


def switch(mode: str, scheduler: str, weights: dict[str, int]) -> Deed:
    """Let kube-proxy work in another mode; scheduler and weights are IPVS's."""
    if mode != "ipvs":
        return Deed("switch", (mode,))
    return Deed("switch", (mode, scheduler), (("weights", weights),) if weights else ())


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(one)}" for key, one in value.items()) + "}"
    return repr(value)
