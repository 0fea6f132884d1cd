"""Executor: what users submit to, over an engine that a backend gives."""

from .executor import Executor, ExecutorStats, ExecutorView, caller
from .task import Task
from .waiting import as_completed, wait
from .worker import Worker, current_backend, current_task, current_worker, enter_backend

__all__ = [
    "Executor",
    "ExecutorStats",
    "ExecutorView",
    "Task",
    "Worker",
    "as_completed",
    "caller",
    "current_backend",
    "current_task",
    "current_worker",
    "enter_backend",
    "wait",
]
