"""A program that a signal ends has said nothing: the error says that, and what is in force."""

import signal

import pytest

from labkit.errors import ProgramError
from labkit.fabric.namespace import Completed
from labkit.proxy.nftables_statements import add
from labkit.proxy.program_nft import send_statements
from labkit.proxy.program_restore import Backend, restore

RULES = "*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n"


class Killing:
    """A namespace whose first command is killed; `given` is what all were given to read."""

    name = "node-1"

    def __init__(self):
        self.given = []

    def command(self, argv, *, stdin=None):
        self.given.append(stdin)
        return Completed("", "", -signal.SIGKILL if len(self.given) == 1 else 0)


def test_a_killed_nft():
    with pytest.raises(ProgramError, match=r"nft did not finish \(signal 9 ended it\)") as raised:
        send_statements(Killing(), [add("chain", "services")])
    assert raised.value.where == "node-1"


def test_a_killed_restore_blames_no_line_and_is_undone():
    namespace = Killing()
    with pytest.raises(ProgramError, match=r"did not finish \(signal 9 ended it\).*from before") as raised:
        restore(namespace, Backend("legacy"), RULES, {})
    assert raised.value.where == "node-1"
    assert namespace.given == [RULES, "*nat\nCOMMIT\n"]


@pytest.mark.parametrize(
    ("done", "words"),
    [
        (Completed("", " no such table\n", 1), "no such table"),
        (Completed("", "", 2), "it ended with status 2"),
        (Completed("", "half a li", -15), "half a li; signal 15 ended it"),
    ],
)
def test_what_a_command_complains_of(done, words):
    assert done.complaint == words
