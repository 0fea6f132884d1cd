"""``manyhands map``: a function or a command applied to many inputs, JSON Lines out, in the order of the inputs."""

import argparse
import contextlib
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Final

from ._end import End, complain, rows
from ._inputs import Feed, Inputs, Item, SlowFeed
from ._parser import Parser, add_backend_options, whole_number
from ._show import progress
from ._target import CommandTarget, FunctionTarget, ItemError

if TYPE_CHECKING:
    from ..executor import Executor
    from ._journal import Journal

__all__ = ["run"]

#: Most items that are read and not printed.
WINDOW: Final = 1000
#: Seconds that running tasks are given to stop after Ctrl-C, unless the configuration says how many.
GRACE_S: Final = 0.4
#: A command's own grace, as a share of that: it has to be gone before its task is given up.
COMMAND_SHARE: Final = 0.5
#: Seconds after which a Ctrl-C comes again that met a place where it would have been lost.
REPEAT_S: Final = 0.02

_USAGE: Final = "[options] (TARGET [INPUT ...] | [INPUT ...] -- COMMAND [ARGUMENT ...])"
_DESCRIPTION: Final = """\
Apply a function or a command to every input, on the backend that the configuration names.

  TARGET    a function of one argument: package.module:function or path/file.py:function
  COMMAND   a program and its arguments; {} is replaced by the input, which comes last where there is none
  INPUT     a text; - alone takes the lines of stdin

For each input, in their order, one line of JSON is printed:
  {"index": 0, "input": ..., "result": ...}
  {"index": 1, "input": ..., "error": {"type": ..., "message": ...}}
The result is what the function returned (paths become texts, sets sorted lists), or of a command
{"returncode": 0, "stdout": ..., "stderr": ...}. What a function prints goes to stderr."""
_EPILOG: Final = """\
exit code: 0 all is done; 1 an item failed; 2 bad usage; 130 interrupted. With --resume, a run that
ended before its time is continued by the same command: what is done is printed again, not done again."""


def run(words: list[str]) -> int:
    """Do what the *words* ask for; the exit code is 1 when an item failed."""
    options, inputs, make_target = _parsed(words)
    with contextlib.ExitStack() as stack:
        step = stack.enter_context(progress(inputs.total))
        write = stack.enter_context(rows())
        stack.enter_context(inputs)
        target = make_target()
        journal = stack.enter_context(_journal(options, target)) if options.resume else None
        if journal is not None and inputs.at_hand:
            _check_inputs(journal, inputs)
        executor, grace = stack.enter_context(_executor(options))
        if isinstance(target, CommandTarget):
            target.grace = grace * COMMAND_SHARE
        stops = options.on_error == "stop"
        outcome = _Outcome(stops=stops)
        job = _Job(executor, target, journal, stops=stops)
        for item in job.items(inputs, options):
            write(item.row or b"")
            outcome.count(item)
            step(failed=outcome.failed)
            if outcome.stopped:
                break
        else:
            if journal is not None:
                journal.end(outcome.printed)
    outcome.report()
    return 1 if outcome.failed else 0


# --- what was asked for ---


def _parsed(words: list[str]) -> tuple[argparse.Namespace, Inputs, Callable[[], Any]]:
    parser = _parser()
    command: list[str] | None = None
    if "--" in words:
        place = words.index("--")
        words, command = words[:place], words[place + 1 :]
    options, rest = parser.parse(words)
    if command == []:
        parser.error("a command is missing after --")
    if command is None and not rest:
        parser.error("a target is missing, or -- and a command")
    texts = rest[1:] if command is None else rest
    if "-" in texts:
        if len(texts) > 1:
            parser.error("the input - takes the lines of stdin, and must be the only one")
        texts, options.input = [], _only(parser, options.input, "-")
    if texts and options.input is not None:
        parser.error("give inputs either as arguments or with --input, not both")
    if not texts and options.input is None:
        parser.error("there are no inputs: give them as arguments, with --input FILE, or - for the lines of stdin")
    inputs = Inputs(texts, options.input, jsonl=options.jsonl)
    if command is not None:
        return options, inputs, lambda: CommandTarget(command, timeout=options.timeout)
    return options, inputs, lambda: FunctionTarget(rest[0])


def _only(parser: Parser, given: str | None, path: str) -> str:
    if given is not None:
        parser.error("give inputs either as arguments or with --input, not both")
    return path


def _parser() -> Parser:
    parser = Parser("map", _USAGE, _DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--input", metavar="FILE", help="take the lines of FILE as inputs; - is stdin")
    parser.add_argument("--jsonl", action="store_true", help="each input is a JSON value instead of a text")
    add_backend_options(parser)
    parser.add_argument("--jobs", metavar="N", type=whole_number(1), help="how many at a time")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, help="stop an item that takes longer: it has failed"
    )
    parser.add_argument(
        "--retries", metavar="N", type=whole_number(0), default=0, help="how often a failed item is tried again"
    )
    parser.add_argument(
        "--on-error",
        metavar="{stop,continue}",
        type=_on_error,
        default="stop",
        help="at a failed item, start nothing more (the default), or do all the others",
    )
    parser.add_argument(
        "--resume", metavar="JOURNAL", help="record what is done in this file, and do not do again what it has"
    )
    return parser


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if seconds == float("inf"):
        return None
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        from ..options import shorten

        allowed = f"0 to {threading.TIMEOUT_MAX:.0f} seconds, or inf"
        raise argparse.ArgumentTypeError(f"must be {allowed}, got {shorten(text)}")
    return seconds


def _on_error(text: str) -> str:
    if text not in ("stop", "continue"):
        from ..options import nearest, shorten

        guess = nearest(text, ("continue", "stop"))
        raise argparse.ArgumentTypeError(f"must be stop or continue, got {shorten(text)}{guess}")
    return text


# --- the surroundings ---


def _journal(options: argparse.Namespace, target: Any) -> "Journal":
    from ._journal import Journal

    return Journal(options.resume, {**target.job, "jsonl": options.jsonl})


def _check_inputs(journal: "Journal", inputs: Inputs) -> None:
    """Refuse a journal of other inputs before anything is done or printed."""
    count = 0
    for item in inputs:
        journal.recall(item)
        count += 1
    journal.end(count)


@contextlib.contextmanager
def _executor(options: argparse.Namespace) -> Iterator[tuple["Executor", float]]:
    """
    An executor of the backend that was asked for, and its grace.

    Leaving it, what runs comes to its end and what waits is dropped; after an error or Ctrl-C what
    runs is stopped, too.
    """
    from ..backend import open_backend
    from ..config import configured, resolve
    from ..errors import ConfigError

    limits = {} if options.jobs is None else {"max_workers": options.jobs}
    with configured(options.backend, profile=options.profile):
        try:
            backend = open_backend(**limits)
        except ConfigError as error:
            error.source = "option --jobs" if error.source == "argument" else error.source
            raise
        configured_grace = resolve().origins(backend.options_type)["grace"]
    grace = GRACE_S if configured_grace.origin == "default" else configured_grace.value
    with contextlib.closing(backend):
        executor = backend.executor(grace=grace)
        try:
            yield executor, grace
            executor.shutdown(cancel_futures=True)
        except BaseException:
            try:
                backend.close(cancel=True)
            except KeyboardInterrupt:  # somebody is in a hurry
                executor.kill_workers()
            raise


class _Outcome:
    """What became of the items so far."""

    def __init__(self, *, stops: bool) -> None:
        self._stops = stops
        self.printed = 0
        self.failed = 0
        self._first: Item | None = None

    @property
    def stopped(self) -> bool:
        """Whether the rest is not to be done."""
        return self._stops and self.failed > 0

    def count(self, item: Item) -> None:
        """One more is printed."""
        self.printed += 1
        if item.error is not None:
            self.failed += 1
            self._first = self._first or item

    def report(self) -> None:
        """Say on stderr that there were failures."""
        if self._first is None or self._first.error is None:
            return
        from ..options import shorten

        kind, message = self._first.error
        first = f"item {self._first.index} ({shorten(self._first.value)}) failed: {kind}: {message[:500]}"
        if self._stops:
            complain(f"manyhands map: {first}")
        else:
            complain(f"manyhands map: {self.failed} of {self.printed} items failed, first {first}")


# --- the work ---


class _Job:
    """Gets items done by an executor."""

    def __init__(
        self, executor: "Executor", target: Callable[[Any], str], journal: "Journal | None", *, stops: bool
    ) -> None:
        self._executor = executor
        self._target = target
        self._journal = journal
        self._stops = stops
        self._lock = threading.RLock()
        #: Items that were started as tasks and are not printed; changed under the lock.
        self._waiting: deque[Item] = deque()
        #: Whether nothing more is to be started, because an item failed.
        self._given_up = False

    def items(self, inputs: Inputs, options: argparse.Namespace) -> Iterator[Item]:
        """
        The items in their order, each with its row.

        In chunks if only the results matter; as single tasks if each item is to be journaled when
        it is done, has a timeout or retries, is a command, or is not to wait for the next input.
        """
        is_command = isinstance(self._target, CommandTarget)
        task_options = {"retries": options.retries} if options.retries else {}
        if options.timeout is not None and not is_command:
            task_options["timeout"] = options.timeout
        submitter = self._executor.with_options(**task_options) if task_options else self._executor
        if not task_options and not is_command and self._journal is None and inputs.at_hand:
            return self._guarded(self._by_chunks(iter(inputs)))
        feed = Feed(iter(inputs)) if inputs.at_hand else SlowFeed(iter(inputs), WINDOW)
        return self._guarded(self._by_tasks(feed, submitter))

    def _guarded(self, items: Iterator[Item]) -> Iterator[Item]:
        """The same; that the executor cannot go on is the end of it, and no bad usage."""
        from ..errors import ManyhandsError

        try:
            yield from items
        except (ManyhandsError, CancelledError) as error:
            raise End(1, f"{type(error).__name__}: {error}".removesuffix(": ")) from error

    def _by_chunks(self, items: Iterator[Item]) -> Iterator[Item]:
        taken: deque[Item] = deque()

        def values() -> Iterator[Any]:
            for item in items:
                taken.append(item)
                yield item.value

        for outcome in self._executor.map(self._target, values(), buffersize=WINDOW, return_exceptions=True):
            _let_through(outcome)
            item = taken.popleft()
            _settle(item, outcome)
            yield item

    def _by_tasks(self, feed: Feed, executor: "Executor") -> Iterator[Item]:
        waiting = self._waiting
        while True:
            over = feed.ended or self._given_up
            if waiting and (waiting[0].done or len(waiting) >= WINDOW or over):
                yield self._finished(waiting[0])
                with self._lock:
                    waiting.popleft()
            elif over:
                break
            elif (item := feed.next()) is not None:
                with self._lock:
                    waiting.append(item)
                if self._journal is None or not self._journal.recall(item):
                    item.future = executor.submit(self._target, item.value)
                    item.future.add_done_callback(lambda _, item=item: self._on_done(item, feed))
        if feed.error is not None and not self._given_up:
            raise feed.error

    def _finished(self, item: Item) -> Item:
        """*item* with its row, which is in the journal already."""
        if item.future is not None:
            _let_through(item.future.exception())
            self._collect(item)
        if self._journal is not None:
            self._journal.check()
        return item

    def _on_done(self, item: Item, feed: Feed) -> None:
        """Collect an *item* as soon as it is done, in whatever thread delivers it."""
        try:
            self._collect(item)
        except KeyboardInterrupt:
            # This is the main thread, and whoever calls a callback swallows what it raises.
            threading.Timer(REPEAT_S, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
        feed.wake()

    def _collect(self, item: Item) -> None:
        """Make the row of an *item* that is done and record it, once: whoever comes first, callback or printer."""
        with self._lock:
            if item.row is not None or item.future.cancelled():
                return
            error = item.future.exception()
            _settle(item, item.future.result() if error is None else error)
            if item.error is not None:
                self._give_up(item)
            elif self._journal is not None:
                assert item.row is not None
                self._journal.record(item.row)

    def _give_up(self, failed: Item) -> None:
        """If a *failed* item stops the job, start nothing that comes after it."""
        if not self._stops:
            return
        self._given_up = True
        for item in self._waiting:
            if item.index > failed.index and item.future is not None:
                item.future.cancel()


def _settle(item: Item, outcome: Any) -> None:
    if isinstance(outcome, BaseException):
        failure = outcome if isinstance(outcome, ItemError) else ItemError.of(outcome)
        item.fail(failure.type_name, failure.message)
    else:
        item.succeed(outcome)


def _let_through(outcome: Any) -> None:
    """Raise a Ctrl-C that met a task: on a backend that runs tasks in this thread."""
    if isinstance(outcome, KeyboardInterrupt):
        raise outcome
