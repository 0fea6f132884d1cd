"""External commands as values that can be called: run by hand, or handed to any executor as a task."""

from ._command import Command, pipeline, shell_command
from ._run import CompletedCommand
from ._running import RunningCommand

__all__ = ["Command", "CompletedCommand", "RunningCommand", "pipeline", "shell_command"]
