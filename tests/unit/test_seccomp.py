"""The filter of system calls, run here instead of in the kernel."""

import errno
import struct

import pytest

from labkit.guest.seccomp import confined_calls, plan_filter

X86_64, I386 = 0xC000003E, 0x40000003
ALLOWED, REFUSED = 0x7FFF0000, 0x00050000 | errno.EPERM
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06


def verdict(program, number, architecture=X86_64):
    """Interpret a classic BPF program as Linux does, on struct seccomp_data."""
    instructions = list(struct.iter_unpack("HBBI", program))
    data = struct.pack("iI", number, architecture)
    at = value = 0
    while True:
        code, if_true, if_false, operand = instructions[at]
        if code == RETURN:
            return operand
        if code == LOAD:
            (value,) = struct.unpack_from("I", data, operand)
            at += 1
        else:
            holds = {EQUAL: value == operand, AT_LEAST: value >= operand}[code]
            at += 1 + (if_true if holds else if_false)


def test_exactly_the_named_calls_are_refused():
    program = plan_filter(confined_calls())
    refused = {number for number in range(1000) if verdict(program, number) == REFUSED}
    assert refused == confined_calls()
    assert {verdict(program, number) for number in range(1000)} == {ALLOWED, REFUSED}


@pytest.mark.parametrize("number", [0, 1, 90, 500])
def test_calls_by_another_table_of_numbers_are_refused(number):
    program = plan_filter(confined_calls())
    assert verdict(program, number, I386) == REFUSED
    assert verdict(program, number | 0x40000000) == REFUSED
