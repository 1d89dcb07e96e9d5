"""Forks: what a forked child makes of something."""

import os
from collections.abc import Callable


def in_a_fork(task: Callable[[], object]) -> int:
    """Exit status of a forked child that does something: 0 if it returns true."""
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            status = 0 if task() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
