"""
A backend for joblib, and so for scikit-learn and all else that calls it; needs ``manyhands[joblib]``.

Once :func:`register` was called, ``joblib.parallel_config("manyhands", n_jobs=2)`` has the calls of
``joblib.Parallel`` run on the configured backend. Further arguments are those of
:func:`manyhands.open_backend`, with ``name`` and ``requires`` as keywords.
"""

import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, Final

import attrs
from joblib import cpu_count, parallel as joblib

from .backend.opening import choose, open_executor
from .errors import ExecutorClosedError, UnsupportedError
from .executor import Executor
from .future import Future
from .options import Capabilities

__all__ = ["register"]

#: What ``Parallel`` hands to every backend, for those that need it.
_OF_JOBLIB: Final = frozenset((*joblib.default_parallel_config, "context"))
#: The beginning of the note that stands for a task's traceback.
_NOTE: Final = "Traceback of the task (most recent call last):"


def register(*, make_default: bool = False) -> None:
    """
    Tell joblib the name ``manyhands``.

    Args:
        make_default: Have it used wherever nothing else is asked for.
    """
    joblib.register_parallel_backend("manyhands", _ManyhandsBackend, make_default=make_default)


@attrs.frozen
class _Source:
    """Where a backend for joblib gets its executors."""

    name: str
    capabilities: Capabilities
    #: How many workers are all of them; None leaves that to joblib.
    max_workers: int | None
    make: Callable[..., Executor]


class _ManyhandsBackend(joblib.AutoBatchingMixin, joblib.ParallelBackendBase):
    """
    Runs the batches of ``Parallel`` as tasks.

    The one in joblib's config is shared by whoever finds it there: it opens nothing, and each
    ``Parallel`` gets a copy of its own. That is open during a call, or as long as the ``with``
    block around the ``Parallel``.
    """

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    #: Who names us means to use it.
    default_n_jobs = -1

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        name: str | None = None,
        requires: Iterable[str] = (),
        **options: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._arguments = {"name": name, "requires": tuple(requires), **options}
        self._shared = True
        self._n_jobs = 1
        self._executor: Executor | None = None
        #: Where nobody else runs while joblib waits: batches whose end it has not been told, a count of those ends,
        #: and whether one of them failed.
        self._untold: set[Future[Any]] = set()
        self._ends: Any = None
        self._failed = False

    @cached_property
    def _source(self) -> _Source:
        options = dict(self._arguments)
        name, requires = options.pop("name"), options.pop("requires")
        settings, kind = choose(name, requires, options)
        max_workers = settings.options(kind.options_type).max_workers
        make = partial(open_executor, name, requires=requires, **options)
        return _Source(kind.name, kind.capabilities, max_workers, make)

    def _copy(self, options: dict[str, Any]) -> "_ManyhandsBackend":
        """For one ``Parallel``, with *options* of its own."""
        copy = _ManyhandsBackend(self.nesting_level, self.inner_max_num_threads, **(self._arguments | options))
        copy._shared = False
        if not options:
            copy._source = self._source
        return copy

    # What joblib asks before it starts.

    @property
    def uses_threads(self) -> bool:
        return self._source.capabilities.in_process

    @property
    def supports_sharedmem(self) -> bool:
        return self._source.capabilities.in_process

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        if n_jobs == 0:
            raise ValueError("n_jobs must be a number of workers, or -1 for all, got 0")
        if n_jobs is None:
            n_jobs = self.default_n_jobs
        if n_jobs < 0:
            n_jobs = max(1, (self._source.max_workers or cpu_count()) + 1 + n_jobs)
        return n_jobs

    def configure(self, n_jobs: int = 1, parallel: Any = None, **arguments: Any) -> int:
        if self._shared:
            options = {name: value for name, value in arguments.items() if name not in _OF_JOBLIB}
            raise joblib.FallbackToBackend(self._copy(options))
        if self.inner_max_num_threads is not None and not self._source.capabilities.isolation:
            what = "inner_max_num_threads: its workers share one process"
            raise UnsupportedError(self._source.name, what, capability="isolation")
        self.parallel = parallel
        self._n_jobs = self.effective_n_jobs(n_jobs)
        return self._n_jobs

    def get_nested_backend(self) -> tuple[Any, int | None]:
        """In tasks, one level down: executors of the same backend. Out of process and below, as joblib does it."""
        executor = self._executor
        if self.nesting_level or executor is None or not executor.capabilities.in_process:
            nested: tuple[Any, int | None] = super().get_nested_backend()
            return nested
        inner = _ManyhandsBackend(nesting_level=1)
        inner._source = attrs.evolve(self._source, make=executor.backend.executor)
        inner.default_n_jobs = 1
        return inner, None

    # While it runs.

    def start_call(self) -> None:
        self._failed = False
        if self._executor is None:
            executor = self._source.make(max_workers=self._n_jobs, **self._initializer())
            self._ends = executor.backend.semaphore(0)
            self._executor = executor

    def _initializer(self) -> dict[str, Any]:
        """Workers that share no process with others are told how many threads numerical libraries may have in them."""
        if not self._source.capabilities.isolation:
            return {}
        return {"initializer": _set_environment, "initargs": (self._prepare_worker_env(self._n_jobs),)}

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], object] | None = None) -> Future[Any]:
        executor = self._executor
        try:
            if executor is None:
                raise ExecutorClosedError
            future: Future[Any] = executor.submit(func)
        except ExecutorClosedError:
            if self._executor is not None:
                raise
            # joblib has ended the call, and a callback that does not know submits what would have been next.
            future = Future()
            future.cancel()
        if callback is not None:
            future.add_done_callback(callback)
        if self._source.capabilities.deterministic:
            self._untold.add(future)
            future.add_done_callback(self._told)
        return future

    def _told(self, future: Future[Any]) -> None:
        """Joblib, whose callback comes first, knows of the end of *future*."""
        self._untold.discard(future)
        self._failed = self._failed or future.cancelled() or future.exception() is not None
        self._ends.release()

    def retrieve_result_callback(self, future: Future[Any]) -> Any:
        error = future.exception()
        if error is not None and error.__traceback__ is not None:
            # joblib takes the traceback away. An exception may come again: it has one such note.
            others = [note for note in getattr(error, "__notes__", ()) if not note.startswith(_NOTE)]
            error.__notes__ = [*others, f"{_NOTE}\n{''.join(traceback.format_tb(error.__traceback__)).rstrip()}"]
        return future.result()

    @contextmanager
    def retrieval_context(self) -> Iterator[None]:
        if self._source.capabilities.deterministic:
            # joblib looks for results in a loop with ``time.sleep``, and there nothing would go on meanwhile.
            while self._untold and not self._failed and self._ends.acquire(timeout=self.parallel.timeout):
                pass
        yield

    def compute_batch_size(self) -> int:
        """In this process a batch costs less than what larger ones lose at the end; else joblib measures."""
        if self._source.capabilities.in_process:
            return 1
        size: int = super().compute_batch_size()
        return size

    # At the end.

    def terminate(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Nothing to make ready: the next call opens anew."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.terminate_workers()


def _set_environment(variables: dict[str, str]) -> None:
    """In a worker, before it imports what reads them."""
    os.environ.update(variables)
