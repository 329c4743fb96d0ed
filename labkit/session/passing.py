"""What the learner's kernel publishes, on its way to Jupyter: bounded, and about its own cells only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from labkit.session.bounds import MOST_OUTPUT_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.session.front import Front, Request

_PASSED = frozenset(
    {
        *("status", "stream", "display_data", "update_display_data", "execute_input", "execute_result"),
        *("error", "clear_output", "comm_open", "comm_msg", "comm_close"),
    }
)
_MB = 2**20


def pass_on(front: Front, request: Request, message: Mapping[str, Any], sent: Mapping[str, Request]) -> None:
    """Publish `message` as output of `request`, unless that has had more output than a cell may have.

    A widget that captures a cell's output names the cell's id: it becomes the id that Jupyter knows, and
    nothing where the cell is not one that was `sent` to the learner's kernel.
    """
    type_ = message["header"]["msg_type"]
    if type_ not in _PASSED:
        return
    content, buffers = message["content"], message.get("buffers") or []
    if type_ != "status":
        request.output_bytes += len(json.dumps(content)) + sum(map(len, buffers))
        if request.output_bytes > MOST_OUTPUT_BYTES:
            _say_once(front, request)
            return
    if type_ in {"comm_open", "comm_msg"}:
        content = _with_known_cell(content, sent)
    front.publish(request, type_, content, message["metadata"], buffers)


def _say_once(front: Front, request: Request) -> None:
    if not request.is_cut:
        request.is_cut = True
        text = (
            f"\n[labkit: the rest of this cell's output, beyond {MOST_OUTPUT_BYTES // _MB} MB, is left out]\n"
        )
        front.publish(request, "stream", {"name": "stdout", "text": text})


def _with_known_cell(content: Mapping[str, Any], sent: Mapping[str, Request]) -> Mapping[str, Any]:
    data = content.get("data")
    state = data.get("state") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(state, dict) or not state.get("msg_id"):
        return content
    request = sent.get(str(state["msg_id"]))
    known = request.message["header"]["msg_id"] if request else ""
    return {**content, "data": {**data, "state": {**state, "msg_id": known}}}
