"""What a learner's kernel may publish: only what a notebook can hold, and about its own cells."""

from types import SimpleNamespace

import pytest

from labkit.session import bounds, passing

GOOD = {
    "status": {"execution_state": "idle"},
    "stream": {"name": "stdout", "text": "x"},
    "display_data": {"data": {"text/plain": "x", "application/json": [1]}, "metadata": {}},
    "update_display_data": {"data": {}, "metadata": {}, "transient": {"display_id": "1"}},
    "execute_result": {"data": {"text/plain": "x"}, "metadata": {}, "execution_count": 1},
    "error": {"ename": "E", "evalue": "v", "traceback": ["l"]},
    "clear_output": {"wait": True},
}


class Front:
    def __init__(self):
        self.output_bytes = 0
        self.published = []

    def publish(self, request, type_, content, metadata=None, buffers=None):
        self.published.append((type_, content))


def request(id_="theirs"):
    return SimpleNamespace(output_bytes=0, is_cut=False, message={"header": {"msg_id": id_}})


def message(type_, content):
    return {"header": {"msg_type": type_}, "content": content, "metadata": {}, "buffers": []}


def passed(*messages):
    front, cell = Front(), request()
    for one in messages:
        passing.pass_on(front, cell, one)
    return front.published


@pytest.mark.parametrize("type_", GOOD)
def test_whole_messages_pass_unchanged(type_):
    assert passed(message(type_, GOOD[type_])) == [(type_, GOOD[type_])]


@pytest.mark.parametrize("type_", GOOD)
def test_a_message_with_a_field_of_another_kind_does_not(type_):
    for field in GOOD[type_]:
        assert passed(message(type_, {**GOOD[type_], field: [7]})) == []


@pytest.mark.parametrize(
    "type_", ["comm_open", "comm_msg", "execute_reply", "execute_input", "shutdown_reply", "", None, 3]
)
def test_nothing_else_passes(type_):
    assert passed(message(type_, {})) == []


def test_text_that_no_notebook_can_be_written_with_does_not_pass():
    assert passed(message("stream", {"name": "stdout", "text": "\ud800"})) == []


def test_a_cell_s_output_is_bounded_and_says_so_once():
    piece = message("stream", {"name": "stdout", "text": "x" * 2**20})
    published = passed(*[piece] * 20)
    whole = [content for _, content in published if content["text"].startswith("x")]
    assert len(whole) == bounds.MOST_CELL_OUTPUT_BYTES // 2**20 - 1
    assert len(published) == len(whole) + 1
    assert "left out" in published[-1][1]["text"]


@pytest.mark.parametrize("content", [{}, {"status": 5}, {"status": "error", "traceback": 5, "ename": {}}])
def test_a_reply_that_is_none_is_an_error_that_a_client_can_read(content):
    reply = passing.pass_reply(content, 3)
    assert (reply["status"], reply["execution_count"]) == ("error", 3)
    assert all(isinstance(reply[name], str) for name in ("ename", "evalue"))
    assert reply["traceback"] == []
