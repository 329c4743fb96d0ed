"""Draws of 12-scheduler, and what the twins of the schedulers choose in them."""

from labkit.algorithms import Connection, RealServer, VirtualServer
from labkit.grade.draws import draw_seed, student_key
from labkit.grade.exercises.e12_scheduler import EXERCISE, NAME


def draws_of_student(number):
    """The cases that the student of that number gets."""
    return EXERCISE.draws(draw_seed(student_key(b"a course", f"student {number}"), NAME))


def choose_by_twin(scheduler, given):
    """The names of the servers that the twin chooses; a connection is active until it ends."""
    twin, chosen = VirtualServer(scheduler), []
    twin.servers = tuple(RealServer(one["name"], "", weight=one["weight"]) for one in given["servers"])
    twin.scheduler.note_change(twin.servers)
    for what, number in given["events"]:
        if what == "open":
            chosen.append(twin.choose(Connection("10.2.0.1", number)))
            chosen[-1].active += 1
        else:
            chosen[number].active -= 1
            chosen[number].inactive += 1
    return [server.name for server in chosen]
