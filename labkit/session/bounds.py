"""How much a notebook that is graded may take: the bounds of a grading session, in one place."""

from __future__ import annotations

CELL_LIMIT_S = 60.0  # a lesson's cells take less than 10 s
INTERRUPT_GRACE_S = 5.0  # from an interrupt to the end of the cell; then its guest is ended
OUTPUT_LIMIT_S = 10.0  # from a cell's reply to the end of its output
ANSWER_LIMIT_S = 20.0
MARKING_LIMIT_S = 120.0
START_LIMIT_S = 60.0
LEAVING_LIMIT_S = 20.0  # from a signal, or Jupyter's end, to the end of everything
NOTEBOOK_LIMIT_S = 1800.0
MOST_RECOVERIES = 5
SETTLING_S = 2.0  # how long a fresh guest is watched once cells ran again: one of them may end it late

MOST_PROCESSES = 512  # of the notebook in its guest, threads counted
MOST_DISK_MB = 64  # of files that it writes: they stay in the guest's memory
MOST_CELL_OUTPUT_BYTES = 8 * 2**20
MOST_OUTPUT_BYTES = 64 * 2**20  # of a notebook's cells together
MOST_MESSAGE_BYTES = 8 * 2**20
MOST_WAITING_MESSAGES = 64  # of the notebook's kernel, before it has to wait
MOST_JOBS = 4  # fresh guests at a time that a notebook's experiments run in
MOST_JOB_MEMORY_MB = 1024

TOO_MANY_PROCESSES = 71  # the exit status of a kernel that started more than MOST_PROCESSES
