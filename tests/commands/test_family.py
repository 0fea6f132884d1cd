"""Who holds the pipes of a command."""

import os

from manyhands import Command
from manyhands.commands._family import writers


def test_writers() -> None:
    """Of the processes that hold a pipe, those are found that write to it."""
    read, write = os.pipe()
    with (
        Command(["sleep", "300"], pass_fds=[read]).start() as reader,
        Command(["sleep", "300"], pass_fds=[write]).start() as writer,
    ):
        found = writers([read])
        reader.kill()
        writer.kill()
    os.close(read)
    os.close(write)

    assert found == [writer.pid]
