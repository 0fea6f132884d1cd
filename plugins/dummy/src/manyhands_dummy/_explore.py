"""Run a program under many schedules, and find one that fails."""

import linecache
import os
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TypeAlias

import attrs

from ._backend import DummyBackend
from ._bytecode import Points, switching
from ._options import DummyOptions
from ._patching import patching

__all__ = ["Failure", "explore", "replay"]

Modules: TypeAlias = Iterable[ModuleType | str]


@attrs.frozen(kw_only=True)
class Failure:
    """A schedule under which a program failed; ``str`` shows it step by step."""

    #: ``replay(program, seed)`` repeats it.
    seed: int
    error: BaseException
    #: Who ran, and the ``file:line`` at which it was interrupted, in order.
    steps: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        rows = [(name, *_shown(where)) for name, where in self.steps]
        widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
        lines = [f"seed {self.seed}: {type(self.error).__name__}: {self.error}"]
        lines += [f"  {name:{widths[0]}}  ran to {where:{widths[1]}}  {text}".rstrip() for name, where, text in rows]
        return "\n".join(lines)


def explore(
    program: Callable[[DummyBackend], object],
    seeds: int = 1000,
    *,
    order: str = "random",
    switch_in: Modules = (),
    patch: Modules = (),
) -> Failure | None:
    """
    The first failure of *program* under the schedules of so many *seeds*; None when there is none.

    Others may go on wherever the program uses something of the backend, and at every bytecode of the
    modules in *switch_in*. There a lock of the standard library would be in the way: everything runs in
    one thread, which it would not keep out, or would block for ever. So while the program runs, the modules
    in *switch_in* and *patch* find the backend's objects instead: what they import from ``threading``,
    ``queue``, ``time``, ``sched`` and ``concurrent.futures``, and the locks, conditions and events that are
    global in them. What they made before otherwise, in instances or classes, stays as it is.

    Args:
        program: Called with a new backend each time, on virtual time; it fails by raising.
        seeds: How many schedules to try, from seed 0 on.
        order: How the seed decides, as the option of the backend: ``random``, ``priorities`` or ``turns``.
        switch_in: Modules, or the paths of their files, in which others may go on at every bytecode,
            so that races in plain Python code are found.
        patch: Modules, or the paths of their files, that use the backend instead of the standard library.
    """
    files = _files(switch_in)
    modules = _loaded(files | _files(patch))
    with switching(files) as points:
        failed = next(
            (seed for seed in range(seeds) if _run(program, seed, order, points, modules, None) is not None), None
        )
    return None if failed is None else replay(program, failed, order=order, switch_in=switch_in, patch=patch)


def replay(
    program: Callable[[DummyBackend], object],
    seed: int,
    *,
    order: str = "random",
    switch_in: Modules = (),
    patch: Modules = (),
) -> Failure | None:
    """What *program* does under the schedule of *seed*: the failure with its trace, None if it succeeds."""
    steps: list[tuple[str, str]] = []
    files = _files(switch_in)
    with switching(files) as points:
        error = _run(program, seed, order, points, _loaded(files | _files(patch)), steps, files)
    return None if error is None else Failure(seed=seed, error=error, steps=tuple(steps))


def _run(
    program: Callable[[DummyBackend], object],
    seed: int,
    order: str,
    points: Points,
    modules: list[ModuleType],
    steps: list[tuple[str, str]] | None,
    files: frozenset[str] = frozenset(),
) -> BaseException | None:
    backend = DummyBackend(DummyOptions(seed=seed, order=order, virtual_time=True), watched=False)
    hub = backend._hub
    hub.steps, hub.files = steps, files
    try:
        with patching(backend, modules), points.of(hub, seed):
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


def _files(modules: Modules) -> frozenset[str]:
    return frozenset(str(module.__file__) if isinstance(module, ModuleType) else module for module in modules)


def _loaded(files: frozenset[str]) -> list[ModuleType]:
    """The modules that were loaded from the *files*."""
    return [module for module in tuple(sys.modules.values()) if getattr(module, "__file__", None) in files]


def _shown(where: str) -> tuple[str, str]:
    """A place as people read it: from the working directory, with what stands there."""
    file, _, line = where.rpartition(":")
    if not line.isdecimal():
        return where, ""
    near = os.path.relpath(file)
    return f"{file if near.startswith('..') else near}:{line}", linecache.getline(file, int(line)).strip()
