"""Run a program under many schedules, and find one that fails."""

from collections.abc import Callable, Iterable
from types import ModuleType

import attrs

from ._backend import DummyBackend
from ._bytecode import switching
from ._options import DummyOptions

__all__ = ["Failure", "explore", "replay"]


@attrs.frozen(kw_only=True)
class Failure:
    """A schedule under which a program failed; ``str`` shows it step by step."""

    #: ``replay(program, seed)`` repeats it.
    seed: int
    error: BaseException
    #: Who ran, and the ``file:line`` at which it was interrupted, in order.
    steps: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        width = max((len(name) for name, _ in self.steps), default=0)
        lines = [f"seed {self.seed}: {type(self.error).__name__}: {self.error}"]
        lines += [f"  {name:{width}}  ran to {where}" for name, where in self.steps]
        return "\n".join(lines)


def explore(
    program: Callable[[DummyBackend], object], seeds: int = 1000, *, switch_in: Iterable[ModuleType | str] = ()
) -> Failure | None:
    """
    The first failure of *program* under the schedules of so many *seeds*; None when there is none.

    Args:
        program: Called with a new backend each time, on virtual time; it fails by raising.
        seeds: How many schedules to try, from seed 0 on.
        switch_in: Modules, or the paths of their files, in which others may go on at every bytecode,
            so that races in plain Python code are found.
    """
    files = _files(switch_in)
    for seed in range(seeds):
        error = _run(program, seed, files, None)
        if error is not None:
            return replay(program, seed, switch_in=files)
    return None


def replay(
    program: Callable[[DummyBackend], object], seed: int, *, switch_in: Iterable[ModuleType | str] = ()
) -> Failure | None:
    """What *program* does under the schedule of *seed*: the failure with its trace, None if it succeeds."""
    steps: list[tuple[str, str]] = []
    error = _run(program, seed, _files(switch_in), steps)
    return None if error is None else Failure(seed=seed, error=error, steps=tuple(steps))


def _run(
    program: Callable[[DummyBackend], object], seed: int, files: frozenset[str], steps: list[tuple[str, str]] | None
) -> BaseException | None:
    backend = DummyBackend(DummyOptions(seed=seed, virtual_time=True))
    hub = backend._hub
    hub.steps = steps
    try:
        with switching(hub, files):
            program(backend)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        return error
    finally:
        hub.steps = None
        hub.order = None
        backend.close(cancel=True)
    return None


def _files(modules: Iterable[ModuleType | str]) -> frozenset[str]:
    return frozenset(str(module.__file__) if isinstance(module, ModuleType) else module for module in modules)
