"""What may come out of a few tasks that share an object, and whether that is what came out."""

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import attrs

__all__ = ["DEADLOCK", "Blocked", "Op", "Program", "Then", "answer", "outcomes"]

#: What comes out where everybody waits for ever.
DEADLOCK = "deadlock"


class Blocked(Exception):
    """A model raises it where the operation cannot go on now; it has changed nothing."""


@attrs.frozen
class Op:
    """A call of the method *name*; ``str`` is how it is written down."""

    name: str
    args: tuple[Any, ...] = ()
    #: Seconds; a model is told of its end with ``expire``.
    timeout: float | None = None

    def __str__(self) -> str:
        given = [repr(arg) for arg in self.args]
        if self.timeout is not None:
            given.append(f"timeout={self.timeout}")
        return f"{self.name}({', '.join(given)})"

    def __call__(self, subject: Any) -> Any:
        timed = {} if self.timeout is None else {"timeout": self.timeout}
        method = getattr(subject, self.name)
        return method(*self.args, **timed) if callable(method) else method


@attrs.frozen
class Then:
    """A model returns it where the operation goes on with its method *name* when that can."""

    name: str
    args: tuple[Any, ...] = ()


def answer(call: Callable[[], Any], let_through: type[Exception] | tuple[()] = ()) -> Any:
    """What it returns, or the name of what it raises, except for those to *let_through*."""
    try:
        return call()
    except let_through:
        raise
    except Exception as error:
        return type(error).__name__


@attrs.define
class _Task:
    ops: tuple[Op, ...]
    answers: tuple[Any, ...] = ()
    #: How the first of the *ops* goes on.
    under_way: Then | None = None
    #: When the first of the *ops* began.
    began: float = 0.0

    def due(self) -> float:
        """When the time of the first of the *ops* is over."""
        timeout = self.ops[0].timeout if self.ops else None
        return math.inf if timeout is None else self.began + timeout


def outcomes(model: Any, tasks: Iterable[Sequence[Op]], *, early: bool = False) -> set[Any]:
    """
    What may come out if the *tasks* take their operations one after the other, in any order.

    That is the answers, what can be seen at the end, and when that is: time passes only where everybody waits,
    so a wake-up that is lost is seen even where a timeout makes up for it.

    Args:
        model: Its methods are the operations, with who calls before the arguments; they raise, and they
            change it. ``expire(who, op, under_way)`` is called where a timeout is over, and ``final()`` says
            what can be seen at the end.
        tasks: What each of them does.
        early: Timeouts may be over before everybody waits.
    """
    found: set[Any] = set()
    left = [(copy.deepcopy(model), [_Task(tuple(ops)) for ops in tasks], 0.0)]
    seen = set()
    while left:
        state, doing, now = left.pop()
        key = repr((vars(state), doing, now))
        if key in seen:
            continue
        seen.add(key)
        if not any(task.ops for task in doing):
            found.add((tuple(task.answers for task in doing), state.final(), now))
            continue
        steps = list(_steps(state, doing, now, early))
        if not steps:  # so time passes
            later = min(task.due() for task in doing)
            if now < later < math.inf:
                steps = [(state, doing, later)]
            else:
                found.add(DEADLOCK)
        left += steps
    return found


def _steps(state: Any, doing: list[_Task], now: float, early: bool) -> Iterator[tuple[Any, list[_Task], float]]:
    for who, task in enumerate(doing):
        for expire in (False, True):
            if not task.ops or (expire and (task.due() == math.inf if early else task.due() > now)):
                continue
            after, tasks = copy.deepcopy(state), [attrs.evolve(task) for task in doing]
            try:
                got = answer(lambda: _step(after, who, task, expire), let_through=Blocked)  # noqa: B023
            except Blocked:
                continue
            mine = tasks[who]
            if isinstance(got, Then):
                mine.under_way = got
            else:
                tasks[who] = _Task(task.ops[1:], (*task.answers, got), None, now)
            yield after, tasks, now


def _step(state: Any, who: int, task: _Task, expire: bool) -> Any:
    if expire:
        return state.expire(who, task.ops[0], task.under_way)
    step = task.under_way or task.ops[0]
    return getattr(state, step.name)(who, *step.args)


class Program:
    """
    Tasks that share one object, to be run under many schedules: each outcome must be one of the model's.

    Args:
        make: Makes the object on a backend.
        model: What it is like at first.
        tasks: What each task does to it, in order.
        final: What can be seen of the object at the end; compared with the model's ``final()``.
    """

    def __init__(
        self,
        make: Callable[[Any], Any],
        model: Any,
        tasks: Sequence[Sequence[Op]],
        final: Callable[[Any], Any],
        *,
        early: bool = False,
    ) -> None:
        self.make = make
        self.tasks = tasks
        self.final = final
        self.allowed = outcomes(model, tasks, early=early)
        #: What has come out.
        self.seen: set[Any] = set()

    def __call__(self, backend: Any) -> None:
        subject = self.make(backend)

        # One worker each, to the end: else two tasks may be the same owner of a lock.
        ended = backend.barrier(len(self.tasks))

        def do(ops: Sequence[Op]) -> tuple[Any, ...]:
            answers = tuple(answer(lambda op=op: op(subject)) for op in ops)  # type: ignore[misc]
            ended.wait()
            return answers

        with backend.executor(len(self.tasks)) as executor:
            futures = [executor.submit(do, ops) for ops in self.tasks]
        answers, now = tuple(future.result() for future in futures), round(backend.monotonic(), 6)
        outcome = (answers, self.final(subject), now)
        assert outcome in self.allowed, f"{self} gave {outcome}; possible is {sorted(map(str, self.allowed))}"
        self.seen.add(outcome)

    def __str__(self) -> str:
        return " | ".join("; ".join(map(str, ops)) for ops in self.tasks)


def groups(phrases: Sequence[Any], size: int) -> Iterator[tuple[Any, ...]]:
    """Every choice of *size* phrases, in no order, also the same one again."""
    return itertools.combinations_with_replacement(phrases, size)
