from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading

import pytest

from labkit.errors import BuildError, CapabilityError
from labkit.fabric.namespace import Namespace

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def namespace():
    with Namespace.create("here") as namespace:
        yield namespace


def interfaces() -> list[str]:
    return sorted(name for _, name in socket.if_nameindex())


def test_ip_netns_shows_it_until_it_is_closed():
    namespace = Namespace.create("seen")
    assert (
        "seen" in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.split()
    )
    namespace.close()
    namespace.close()
    assert (
        "seen"
        not in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.split()
    )


def test_functions_and_commands_run_in_it_and_the_caller_stays_outside(namespace):
    namespace.command(["ip", "link", "add", "only-here", "type", "dummy"])
    assert "only-here" in namespace.run(interfaces)
    assert "only-here" in namespace.command(["ip", "-o", "link"]).stdout
    assert "only-here" not in interfaces()


def test_a_socket_stays_in_the_namespace_that_it_was_made_in(namespace):
    namespace.command(["ip", "link", "set", "lo", "up"])

    def listen() -> socket.socket:
        return socket.create_server(("127.0.0.1", 4444))

    with namespace.run(listen), pytest.raises(OSError, match=r"refused|unreachable"):
        socket.create_connection(("127.0.0.1", 4444))
    with (
        namespace.run(listen) as server,
        namespace.run(lambda: socket.create_connection(("127.0.0.1", 4444))),
    ):
        server.accept()[0].close()


def test_an_exception_comes_back_as_it_was_raised(namespace):
    with pytest.raises(ZeroDivisionError):
        namespace.run(lambda: 1 // 0)
    assert namespace.run(lambda: 2) == 2


def test_a_function_in_it_may_use_it(namespace):
    assert namespace.run(lambda: namespace.run(lambda: namespace.read_sysctl("net.ipv4.ip_forward"))) == "0"


def test_many_threads_may_use_it_at_once(namespace):
    seen = []
    threads = [threading.Thread(target=lambda n=n: seen.append(namespace.run(lambda: n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(8))


def test_a_command_has_its_input_output_error_and_status(namespace):
    completed = namespace.command(["sh", "-c", "cat; echo bad >&2; exit 3"], stdin="good")
    assert (completed.stdout, completed.stderr, completed.status) == ("good", "bad\n", 3)


def test_a_command_without_input_does_not_wait_for_any(namespace):
    assert namespace.command(["cat"]).stdout == ""


def test_an_unknown_command_is_named(namespace):
    with pytest.raises(CapabilityError, match="no-such-tool"):
        namespace.command(["no-such-tool"])


def test_what_was_started_in_it_ends_with_it():
    with Namespace.create("busy") as namespace:
        process = namespace.start(["sleep", "1000"])
    assert process.returncode == -signal.SIGTERM
    process.stdout.close()
    process.stderr.close()


def test_settings_belong_to_the_namespace(namespace):
    with Namespace.create("there") as there:
        namespace.write_sysctl("net.ipv4.ip_forward", 1)
        assert (namespace.read_sysctl("net/ipv4/ip_forward"), there.read_sysctl("net.ipv4.ip_forward")) == (
            "1",
            "0",
        )


def test_an_unknown_setting_and_a_refused_value_are_named(namespace):
    with pytest.raises(CapabilityError, match="no setting net"):
        namespace.read_sysctl("net.ipv4.no_such")
    with pytest.raises(BuildError, match="does not take the value 'many'"):
        namespace.write_sysctl("net.ipv4.ip_forward", "many")


def test_a_taken_name_says_what_to_do_and_harms_nothing(namespace):
    with pytest.raises(BuildError, match="called here already") as caught:
        Namespace.create("here")
    assert "close the other lab" in caught.value.todo
    assert namespace.run(interfaces) == ["lo"]


def test_a_closed_one_says_so():
    namespace = Namespace.create("gone")
    namespace.close()
    with pytest.raises(BuildError, match="gone is closed"):
        namespace.run(interfaces)


def test_an_interrupt_ends_a_command_and_leaves_the_namespace_usable():
    # In a process of its own: the interrupt is a real SIGINT to a main thread that waits.
    program = """
import os, signal, sys, threading
from labkit.fabric.namespace import Namespace
with Namespace.create("interrupted") as namespace:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    interrupt = lambda: (os.read(read, 1), os.kill(os.getpid(), signal.SIGINT))
    threading.Thread(target=interrupt).start()
    try:
        namespace.command(["sh", "-c", f"echo > /proc/{os.getpid()}/fd/{write}; exec sleep 1000"])
    except KeyboardInterrupt:
        print("interrupted", namespace.run(lambda: "usable"))
"""
    completed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert completed.stdout == "interrupted usable\n", completed.stderr


def test_closing_under_a_running_function_says_so(monkeypatch):
    monkeypatch.setattr("labkit.fabric.namespace.PATIENCE_S", 0.01)
    namespace = Namespace.create("stuck")
    started, finish = threading.Event(), threading.Event()
    caller = threading.Thread(target=lambda: namespace.run(lambda: (started.set(), finish.wait())))
    caller.start()
    started.wait()
    with pytest.raises(BuildError, match="a function still runs in the network namespace stuck"):
        namespace.close()
    finish.set()
    caller.join()
    next((t for t in threading.enumerate() if t.name == "netns stuck"), caller).join()
