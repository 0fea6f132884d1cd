"""What the fault tests share."""

import textwrap
from typing import Any

from manyhands.contract.support import DEADLOCK_S, eventually

#: Starts each script: *backend* is the one under test; a hang shows its stacks.
PROLOGUE = """
import faulthandler, os, signal, sys, threading, time
import manyhands

faulthandler.dump_traceback_later(25, exit=True)
backend = manyhands.open_backend(sys.argv[1], max_workers=2)

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()
"""


def script(body: str) -> str:
    """*body*, indented as it stands in a test, after the prologue."""
    return PROLOGUE + textwrap.dedent(body)


def solves_control_tasks(executor: Any) -> bool:
    """Whether it works as if nothing had happened: ten tasks, all with the right result."""
    futures = [executor.submit(pow, 2, n) for n in range(10)]
    return [future.result(DEADLOCK_S) for future in futures] == [2**n for n in range(10)]


def all_end(activities: list[Any]) -> bool:
    """Whether activities of a backend come to their end."""
    for activity in activities:
        activity.join(DEADLOCK_S)
    return eventually(lambda: not any(activity.is_alive() for activity in activities))
