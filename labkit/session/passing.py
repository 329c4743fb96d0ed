"""What the learner's kernel publishes, on its way to Jupyter: well-formed, bounded, about its own cells only.

Jupyter's clients and nbgrader trust a kernel's messages: one without the fields that its type has, or with
text that cannot be written as UTF-8, would end the grading of the notebook with a traceback of theirs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from labkit.session.bounds import MOST_CELL_OUTPUT_BYTES, MOST_OUTPUT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labkit.session.front import Front, Request

_MB = 2**20
_STREAMS = ("stdout", "stderr")
_STATES = ("busy", "idle", "starting")


def pass_on(front: Front, request: Request, message: Mapping[str, Any]) -> None:
    """Publish `message` as output of `request`, unless that has had more output than a cell may have.

    Widgets' messages do not pass: nothing shows widgets here, and a widget of nbclient's captures the output
    of any cell whose id it is given.
    """
    type_, content, metadata = message["header"]["msg_type"], message["content"], message["metadata"]
    if not is_well_formed(type_, content):
        return
    buffers = [bytes(buffer) for buffer in message.get("buffers") or []]
    size = written_size([content, metadata])
    if size is None:
        return
    size += sum(map(len, buffers))
    if type_ != "status":
        request.output_bytes += size
        front.output_bytes += size
        if request.output_bytes > MOST_CELL_OUTPUT_BYTES or front.output_bytes > MOST_OUTPUT_BYTES:
            say_left_out(front, request)
            return
    front.publish(request, type_, content, metadata, buffers)


def say_left_out(front: Front, request: Request) -> None:
    """Say, once for a request, that not all of its output is shown."""
    if not request.is_cut:
        request.is_cut = True
        text = f"\n[labkit: more output than {MOST_CELL_OUTPUT_BYTES // _MB} MB is left out]\n"
        front.publish(request, "stream", {"name": "stdout", "text": text})


def pass_reply(content: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Return the content of an execute_reply with nothing of the learner's kernel but its error, if any."""
    if content.get("status") == "ok":
        return {"status": "ok", "execution_count": count, "user_expressions": {}, "payload": []}
    names = {name: _writable(content.get(name, "")) for name in ("ename", "evalue")}
    traceback = content.get("traceback")
    lines = [_writable(line) for line in traceback] if isinstance(traceback, list) else []
    return {"status": "error", "execution_count": count, **names, "traceback": lines}


def written_size(value: object) -> int | None:
    """Return how many bytes a value takes as JSON, None where it cannot be written as such."""
    try:
        return len(json.dumps(value, ensure_ascii=False).encode())
    except (UnicodeEncodeError, RecursionError, TypeError, ValueError):
        return None


def is_well_formed(type_: object, content: Mapping[str, Any]) -> bool:
    """Return whether this is a message of iopub that a cell's outputs are made of, with all its fields."""
    rule = _RULES.get(type_) if isinstance(type_, str) else None
    return rule is not None and rule(content)


def _writable(value: object) -> str:
    return str(value)[:10_000].encode(errors="replace").decode()


def _is_status(content: Mapping[str, Any]) -> bool:
    return content.get("execution_state") in _STATES


def _is_stream(content: Mapping[str, Any]) -> bool:
    return content.get("name") in _STREAMS and isinstance(content.get("text"), str)


def _is_display(content: Mapping[str, Any]) -> bool:
    data = content.get("data")
    return (
        isinstance(data, dict)
        and isinstance(content.get("metadata"), dict)
        and isinstance(content.get("transient", {}), dict)
        and isinstance(content.get("execution_count", 0), int | None)
        and all("json" in mime or isinstance(value, str) for mime, value in data.items())
    )


def _is_error(content: Mapping[str, Any]) -> bool:
    lines = content.get("traceback")
    texts = [content.get("ename"), content.get("evalue"), *(lines if isinstance(lines, list) else [None])]
    return all(isinstance(text, str) for text in texts)


_RULES: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "status": _is_status,
    "stream": _is_stream,
    "display_data": _is_display,
    "update_display_data": _is_display,
    "execute_result": lambda content: _is_display(content) and "execution_count" in content,
    "error": _is_error,
    "clear_output": lambda content: isinstance(content.get("wait", False), bool),
}
