"""The field types of Kubernetes objects: text, numbers, addresses and durations with the API's own rules.

Names and labels: apimachinery's validation package (RFC 1123, RFC 1035, IANA service names).
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Strict, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from labkit.spec.ipv4 import is_ipv4

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"([a-zA-Z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")

T = TypeVar("T")
Many = Annotated[tuple[T, ...], Strict(strict=False)]  # strict would refuse the lists that YAML and JSON give


class Fields(BaseModel):
    """A mapping of a manifest. Null counts as absent, as in the API; types are not converted."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", alias_generator=to_camel)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict) and None in data.values():
            return {key: value for key, value in data.items() if value is not None}
        return data


def refusal(message: str, todo: str = "") -> PydanticCustomError:
    """Return the error with which a field says what is wrong and what to write instead."""
    return PydanticCustomError("labkit", "{message}", {"message": message, "todo": todo})


def _matching(pattern: re.Pattern[str], longest: int, what: str, rule: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if len(text) > longest:
            raise refusal(f"{text[:20]!r}... is longer than the {longest} characters of {what}", "shorten it")
        if not pattern.fullmatch(text):
            raise refusal(f"{text!r} is not {what}", rule)
        return text

    return check


def _ipv4(text: str) -> str:
    if not is_ipv4(text):
        raise refusal(f"{text!r} is not an IPv4 address", "write four numbers of 0-255, such as 10.244.1.7")
    return text


def _port(number: int) -> int:
    if not 1 <= number <= 65535:
        raise refusal(f"{number} is not a port number", "ports are 1-65535")
    return number


def _port_or_none(number: int) -> int:
    return number and _port(number)


def _port_reference(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise refusal(
            f"{value!r} is neither a port number nor a port name", "write 8080, or a name such as http"
        )
    if isinstance(value, int):
        return _port(value)
    if value.isdecimal():
        raise refusal(
            f"{value!r} in quotes is a port's name, not its number", f"write {value} without quotes"
        )
    return _port_name(value)


def _port_label(text: str) -> str:
    return text and _dns_label(text)


def _port_name(text: str) -> str:
    fits = re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text) and re.search(r"[a-z]", text)
    if len(text) > 15 or not fits:
        raise refusal(
            f"{text!r} is not a container port's name",
            "at most 15 of a-z, 0-9 and single hyphens inside, with at least one letter",
        )
    return text


def _labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    for key, value in labels.items():
        if not _QUALIFIED.fullmatch(key):
            raise refusal(
                f"{key!r} is not a label's key", "letters, digits, - _ . and an optional prefix with /"
            )
        if not _LABEL_VALUE.fullmatch(value):
            raise refusal(
                f"{value!r} is not a label's value",
                "at most 63 of letters, digits, - _ . with a letter or digit at both ends",
            )
    return labels


def ipv4_network(text: str) -> ipaddress.IPv4Network:
    """Return the network that `text` writes, as Go's ParseCIDR would: host bits allowed.

    Raises:
        ValueError: if it is no IPv4 CIDR.

    """
    if "/" not in text or not text.partition("/")[2].isdecimal():
        raise ValueError(text)
    return ipaddress.IPv4Network(text, strict=False)


def cidr(text: str) -> str:
    """Return `text` if it is a CIDR of either family, refuse it otherwise."""
    try:
        if ":" in text:
            ipaddress.IPv6Network(text, strict=False)
        else:
            ipv4_network(text)
    except ValueError:
        raise refusal(f"{text!r} is not a CIDR", "write a network such as 10.244.1.0/24") from None
    return text


def lowered_protocol(value: Any) -> Any:
    """Refuse a protocol in the wrong case with the right one; leave the rest to the field's type."""
    if (
        isinstance(value, str)
        and value not in ("TCP", "UDP", "SCTP")
        and value.upper() in ("TCP", "UDP", "SCTP")
    ):
        raise refusal(f"{value!r} is not a protocol", f"write {value.upper()}")
    return value


_DURATION = re.compile(r"([-+]?)((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|[-+]?0")
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Return a Go duration such as `1m30s` in seconds (time.ParseDuration).

    Raises:
        ValueError: if it is none.

    """
    if not _DURATION.fullmatch(text):
        raise ValueError(text)
    total = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    return -total if text.startswith("-") else total


def _duration(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise refusal(f"{value} has no unit", f"write {value}s")
    if not isinstance(value, str):
        return value
    try:
        given = seconds(value)
    except ValueError:
        raise refusal(
            f"{value!r} is not a duration", "write a number with a unit, such as 30s or 1m30s"
        ) from None
    if given < 0:
        raise refusal(f"{value!r} is negative", "write 0s or more")
    return given


def _some_time(given: float) -> float:
    if not given:
        raise refusal("cannot be 0", "write a duration such as 30s")
    return given


_ALPHANUMERIC = "lower-case letters, digits and hyphens, starting and ending in a letter or digit"
_dns_label = _matching(_LABEL, 63, "a name", _ALPHANUMERIC)
DnsLabel = Annotated[str, AfterValidator(_dns_label)]
PortLabel = Annotated[str, AfterValidator(_port_label)]  # a Service port's name; "" means none
ServiceName = Annotated[
    str, AfterValidator(_matching(_SERVICE_NAME, 63, "a Service's name", f"{_ALPHANUMERIC}; first a letter"))
]
DnsSubdomain = Annotated[
    str, AfterValidator(_matching(_SUBDOMAIN, 253, "a name", f"{_ALPHANUMERIC}; dots between such parts"))
]
Ipv4 = Annotated[str, AfterValidator(_ipv4)]
Cidr = Annotated[str, AfterValidator(cidr)]
Port = Annotated[int, AfterValidator(_port)]
PortOrNone = Annotated[int, AfterValidator(_port_or_none)]  # 0 means none, as in Go
PortReference = Annotated[int | str, BeforeValidator(_port_reference)]
PortName = Annotated[str, AfterValidator(_port_name)]
Labels = Annotated[dict[str, str], AfterValidator(_labels)]
Annotations = dict[str, str]
EMPTY: Final[dict[str, str]] = {}
Duration = Annotated[float, BeforeValidator(_duration)]
Period = Annotated[float, BeforeValidator(_duration), AfterValidator(_some_time)]
