"""Managers, their proxies, and types of one's own."""

import collections.abc
import copy
import gc
import multiprocessing
import pickle
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from manyhands import ExecutorClosedError, SerializationError, UnsupportedError
from manyhands.vocabulary.manager import BaseProxy, Manager, make_proxy_type

from .support import DEADLOCK_S, eventually

pytestmark: Final = [
    pytest.mark.covers("managers", "proxy-objects", "cleanup"),
    pytest.mark.contract("manyhands.Backend.manager"),
]
customized: Final = pytest.mark.covers("customized-managers")


class Calculator:
    """A type of one's own."""

    def __init__(self, start: int = 0) -> None:
        self.total: int = start
        self.totals: list[int] = [start]

    def add(self, x: int) -> int:
        self.total += x
        return self.total

    def history(self) -> list[int]:
        return self.totals

    def fail(self) -> None:
        raise LookupError("from the referent")

    def itself(self) -> "Calculator":
        return self

    def _hidden(self) -> str:
        return "hidden"

    def __repr__(self) -> str:
        return f"Calculator({self.total})"


def count_down(start: int) -> Iterator[int]:
    while start:
        yield start
        start -= 1


@pytest.fixture
def manager(backend: Any) -> Iterator[Any]:
    """A manager."""
    with backend.manager() as manager:
        yield manager


# What it makes.


def test_dict(manager: Any) -> None:
    """Like a dict, with its arguments."""
    shared = manager.dict({"a": 1}, b=2)
    shared["c"] = 3
    del shared["a"]
    shared.update(d=4)

    assert (len(shared), "b" in shared, "a" in shared, shared.get("x"), shared.pop("d")) == (3, True, False, None, 4)
    assert (sorted(shared), sorted(shared.keys()), sorted(shared.values())) == (["b", "c"], ["b", "c"], [2, 3])
    assert dict(shared) == shared.copy() == {"b": 2, "c": 3}
    assert shared.setdefault("e", 5) == 5
    with pytest.raises(KeyError, match="nothing"):
        shared["nothing"]


def test_operators_of_a_dict(manager: Any) -> None:
    """``|`` gives a dict, ``|=`` changes the shared one."""
    shared = same = manager.dict(a=1)
    shared |= {"b": 2}
    shared |= manager.dict(c=3)

    assert shared is same
    assert shared | {"d": 4} == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert {"a": 0} | shared == {"a": 1, "b": 2, "c": 3}
    assert list(reversed(shared)) == ["c", "b", "a"]
    with pytest.raises(TypeError, match="unsupported operand"):
        shared | 5


def test_list(manager: Any) -> None:
    """Like a list."""
    shared = manager.list([3, 1])
    shared.append(2)
    shared[0] = 4
    shared.sort()

    assert (len(shared), list(shared), shared[1:], shared[-1], 2 in shared) == (3, [1, 2, 4], [2, 4], 4, True)
    assert (shared.index(4), shared.count(1), shared.pop(), list(reversed(shared))) == (2, 1, 4, [2, 1])
    shared.insert(0, 0)
    shared.remove(1)
    del shared[0]
    assert shared.copy() == [2]
    shared.clear()
    assert len(shared) == 0


def test_operators_of_a_list(manager: Any) -> None:
    """``+`` and ``*`` give lists, ``+=`` and ``*=`` change the shared one."""
    shared = same = manager.list([1])
    shared += [2]
    shared += manager.list([3])
    shared *= 2

    assert shared is same
    assert shared + [4] == [1, 2, 3, 1, 2, 3, 4]  # noqa: RUF005
    assert shared * 1 == 1 * shared == [1, 2, 3, 1, 2, 3]
    with pytest.raises(TypeError):
        shared + 5


def test_set(manager: Any) -> None:
    """Like a set (the standard library's managers have it from 3.15 on)."""
    shared = same = manager.set([1, 2])
    shared.add(3)
    shared |= {4}
    shared &= {2, 3, 4}
    shared -= {4}
    shared ^= {5}

    assert shared is same
    assert (set(shared), len(shared), 5 in shared) == ({2, 3, 5}, 3, True)
    assert (shared | {1}, shared & {2}, shared - {2}, {2, 9} - shared) == ({1, 2, 3, 5}, {2}, {3, 5}, {9})
    assert shared >= {2}


def test_namespace(manager: Any) -> None:
    """Attributes are shared, except those that start with an underscore."""
    shared = manager.Namespace(x=1)
    shared.y = 2
    shared._mine = 3
    del shared.x

    assert str(shared) == "Namespace(y=2)"
    assert shared._mine == 3
    del shared._mine
    for missing in ("x", "_mine"):
        with pytest.raises(AttributeError, match=f"no attribute '{missing}'"):
            getattr(shared, missing)


def test_value(manager: Any) -> None:
    """``value``, ``get`` and ``set``."""
    shared = manager.Value("i", 5)
    shared.value += 1
    assert (shared.value, shared.get(), str(shared)) == (6, 6, "Value('i', 6)")
    shared.set(7)

    assert shared.value == 7


def test_array(manager: Any) -> None:
    """Items, slices and a length."""
    shared = manager.Array("i", [1, 2, 3])
    shared[0] = 5

    assert (len(shared), list(shared), list(shared[1:])) == (3, [5, 2, 3], [2, 3])


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("Lock", ()),
        ("RLock", ()),
        ("Semaphore", (2,)),
        ("BoundedSemaphore", (2,)),
        ("Condition", ()),
        ("Event", ()),
        ("Barrier", (2,)),
        ("Queue", (5,)),
        ("JoinableQueue", (5,)),
    ],
)
def test_synchronization_is_the_backends_own(
    backend: Any, executor: Any, manager: Any, kind: str, arguments: Any
) -> None:
    """The same class as that of the backend, and an argument of tasks."""
    made = getattr(manager, kind)(*arguments)
    name = {"JoinableQueue": "queue", "BoundedSemaphore": "bounded_semaphore"}.get(kind, kind.lower())

    assert type(made) is type(getattr(backend, name)(*arguments))
    assert executor.submit(lambda given: given, made).result(DEADLOCK_S) == made


def test_condition_shares_a_lock(manager: Any) -> None:
    """The one that is given."""
    lock = manager.Lock()
    with manager.Condition(lock):
        assert lock.locked()


def test_pool(manager: Any) -> None:
    """A pool, which ends with the manager."""
    pool = manager.Pool(2)

    assert pool.map(abs, [-1, -2]) == [1, 2]
    manager.shutdown()
    assert "terminated" in repr(pool)


# Proxies.


def test_tasks_share_what_a_proxy_stands_for(executor: Any, manager: Any) -> None:
    """What tasks change, everybody sees."""
    shared, lock = manager.dict(n=0), manager.Lock()

    def work() -> None:
        for _ in range(100):
            with lock:
                shared["n"] += 1

    for future in [executor.submit(work) for _ in range(4)]:
        future.result(DEADLOCK_S)

    assert shared["n"] == 400


@pytest.mark.parametrize(
    ("kind", "arguments"), [("dict", ()), ("list", ()), ("set", ()), ("Namespace", ()), ("Value", "i5"), ("Array", "i")]
)
def test_proxies_are_arguments(executor: Any, manager: Any, kind: str, arguments: Any) -> None:
    """Nested, too."""
    made = getattr(manager, kind)(*arguments, *([[1]] if kind == "Array" else []))

    assert executor.submit(lambda given: given["x"][0], {"x": [made]}).result(DEADLOCK_S) is made


def test_nested_proxies(manager: Any) -> None:
    """A proxy in a shared object is that object: changes through either are seen through both."""
    inner, outer = manager.list([1]), manager.dict()
    outer["inner"] = inner
    outer["inner"].append(2)
    table = manager.list([manager.dict(a=1), manager.dict(b=2)])
    table[0]["a"] = 5

    assert list(inner) == [1, 2]
    assert [dict(row) for row in table] == [{"a": 5}, {"b": 2}]


def test_repr_is_the_proxys_and_str_the_referents(manager: Any) -> None:
    """As documented."""
    shared = manager.list([1, "two"])

    assert str(shared) == "[1, 'two']"
    assert repr(shared).startswith("<ListProxy object, typeid 'list' at 0x")


def test_getvalue_is_a_copy(manager: Any) -> None:
    """Of the referent; changing it changes nothing."""
    shared = manager.list([1])
    value = shared._getvalue()
    value.append(2)
    deep = copy.deepcopy(manager.dict(a=[1]))

    assert (type(value), list(shared), deep) == (list, [1], {"a": [1]})


def test_callmethod(manager: Any) -> None:
    """Any exposed method by name; AttributeError for others, naming what there is."""
    shared = manager.list(range(10))

    assert shared._callmethod("__getitem__", (slice(2, 7),)) == [2, 3, 4, 5, 6]
    assert shared._callmethod("sort", (), {"reverse": True}) is None
    assert shared._callmethod("__repr__") == str(shared)
    with pytest.raises(IndexError, match="list index out of range"):
        shared._callmethod("__getitem__", (20,))
    with pytest.raises(AttributeError, match="'__class__' of a shared 'list' is not exposed, only __add__, "):
        shared._callmethod("__class__")


def test_proxies_are_equal_only_to_themselves(manager: Any) -> None:
    """Whatever their referents, as in the standard library."""
    shared = manager.list([1])

    assert shared == shared
    assert shared != manager.list([1])
    assert shared != [1]


def test_proxies_are_known_as_collections(manager: Any) -> None:
    """To the abstract classes."""
    assert isinstance(manager.dict(), collections.abc.MutableMapping)
    assert isinstance(manager.list(), collections.abc.MutableSequence)
    assert isinstance(manager.set(), collections.abc.MutableSet)


def test_a_referent_goes_with_its_last_proxy(executor: Any, manager: Any) -> None:
    """Also when tasks had it, and when it was nested."""

    class Item:
        pass

    item = Item()
    gone = weakref.ref(item)
    shared = manager.list([item])
    outer = manager.dict(shared=shared)
    executor.submit(len, shared).result(DEADLOCK_S)
    del item, shared
    gc.collect()
    assert gone() is not None

    outer.clear()
    assert eventually(lambda: gone() is None, on=executor.backend)


def test_proxies_and_managers_cannot_be_pickled(manager: Any) -> None:
    """The error says what can be done with them."""
    with pytest.raises(SerializationError, match="a proxy of a shared 'dict' can only be passed to tasks"):
        pickle.dumps(manager.dict())
    with pytest.raises(SerializationError, match="pass its objects to tasks"):
        pickle.dumps(manager)


# Types of one's own.


@customized
def test_registered_type_gets_its_public_methods(backend: Any) -> None:
    """A proxy has the methods that do not start with an underscore."""

    class Own(Manager):
        Calculator: Any

    Own.register("Calculator", Calculator)
    manager: Any
    with Own(backend) as manager:
        shared = manager.Calculator(5)

        assert (shared.add(2), str(shared)) == (7, "Calculator(7)")
        assert repr(shared).startswith("<AutoProxy[Calculator] object, typeid 'Calculator' at 0x")
        assert not hasattr(shared, "_hidden")
        assert not hasattr(shared, "total")
        with pytest.raises(LookupError, match="from the referent"):
            shared.fail()


@customized
def test_registered_types_are_arguments(backend: Any, executor: Any) -> None:
    """Tasks call the one referent."""

    class Own(Manager):
        Calculator: Any

    Own.register("Calculator", Calculator)
    shared = Own(backend).Calculator()
    for future in [executor.submit(shared.add, n) for n in range(5)]:
        future.result(DEADLOCK_S)

    assert shared.add(0) == 10


@customized
def test_exposed_methods(backend: Any) -> None:
    """Those that are named, also private ones and operators; no others."""

    class Own(Manager):
        Calculator: Any

    Own.register("Calculator", Calculator, exposed=("_hidden", "__repr__"))
    shared = Own(backend).Calculator()

    assert shared._hidden() == "hidden"
    assert not hasattr(shared, "add")


@customized
def test_method_to_typeid(backend: Any) -> None:
    """Results of those methods are shared in turn."""

    class Own(Manager):
        Calculator: Any
        Words: Any

    types = {"history": "list", "itself": "Calculator"}
    Own.register("Calculator", Calculator, method_to_typeid=types)
    Own.register("Words", lambda: {"lock": 1}, exposed=("keys",), method_to_typeid={"get": "Lock", "items": "Missing"})
    manager = Own(backend)
    shared = manager.Calculator(5)
    history = shared.history()
    history.append(6)

    assert repr(history).startswith("<ListProxy object")
    assert list(shared.history()) == [5, 6]
    assert shared.itself() is shared
    words = manager.Words()
    assert words._callmethod("get", ("lock",)) == 1
    with pytest.raises(KeyError, match=r"no typeid 'Missing' is registered, only list, dict, .*, Words"):
        words._callmethod("items")


@customized
def test_proxytype(backend: Any) -> None:
    """A class of proxies of one's own, which says what is exposed."""

    class CountdownProxy(BaseProxy):
        _exposed_ = ("__next__",)

        def __iter__(self) -> "CountdownProxy":
            return self

        def __next__(self) -> Any:
            return self._callmethod("__next__")

    class Own(Manager):
        count_down: Any
        Adder: Any

    Own.register("count_down", count_down, proxytype=CountdownProxy)
    Own.register("Adder", Calculator, proxytype=make_proxy_type("AdderProxy", ["add"]))
    manager = Own(backend)

    assert list(manager.count_down(3)) == [3, 2, 1]
    assert manager.Adder(1).add(1) == 2


@customized
def test_iterators(backend: Any) -> None:
    """Of the typeid ``Iterator``: iterators and generators."""

    class Own(Manager):
        Numbers: Any

    class Numbers:
        def generate(self) -> Any:
            received = yield 1
            try:
                yield received
            except LookupError:
                yield "thrown"

    Own.register("Numbers", Numbers, method_to_typeid={"generate": "Iterator"})
    generator = Own(backend).Numbers().generate()

    assert iter(generator) is generator
    assert (next(generator), generator.send(5), generator.throw(LookupError())) == (1, 5, "thrown")
    generator.close()
    with pytest.raises(StopIteration):
        next(generator)


@customized
def test_registered_without_a_callable(backend: Any) -> None:
    """The one argument is the referent; ValueError for anything else."""

    class Own(Manager):
        adopt: Any

    Own.register("adopt")
    manager = Own(backend)
    shared = manager.adopt(Calculator(3))

    assert shared.add(1) == 4
    wrong: Callable[[], object]
    for wrong in (lambda: manager.adopt(), lambda: manager.adopt(1, 2), lambda: manager.adopt(x=1)):
        with pytest.raises(ValueError, match="typeid 'adopt' has no callable, so it takes one positional argument"):
            wrong()


@customized
def test_registering_concerns_that_class_only(backend: Any) -> None:
    """And its subclasses; without ``create_method`` there is none."""

    class Own(Manager):
        pass

    class Below(Own):
        Calculator: Any

    Own.register("Calculator", Calculator)
    Own.register("Hidden", Calculator, create_method=False)

    assert not hasattr(Manager, "Calculator")
    assert "Calculator" not in Manager._registry
    assert not hasattr(Own, "Hidden")
    assert Below(backend).Calculator().add(1) == 1


@customized
def test_bad_registrations() -> None:
    """TypeError with the typeid."""

    class Own(Manager):
        pass

    with pytest.raises(TypeError, match="typeid must be a text, got 5"):
        Own.register(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="callable of 'x' must be callable, got 5"):
        Own.register("x", 5)  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match="proxytype of 'x' must be a subclass of this module's BaseProxy, got <class 'int'>"
    ):
        Own.register("x", proxytype=int)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"method_to_typeid of 'x' must map texts to texts, got {'a': 1}"):
        Own.register("x", method_to_typeid={"a": 1})  # type: ignore[dict-item]


# Life.


def test_it_may_be_used_at_once(backend: Any) -> None:
    """Without ``start`` and ``with``, as what multiprocessing.Manager() returns."""
    assert list(backend.manager().list([1])) == [1]


def test_start_calls_the_initializer_once(backend: Any) -> None:
    """Starting again is a ProcessError, as after ``shutdown``."""
    seen: list[int] = []
    manager = backend.manager()
    manager.start(seen.append, (1,))
    with pytest.raises(multiprocessing.ProcessError, match="the manager was started already"):
        manager.start()
    manager.shutdown()
    manager.shutdown()
    with pytest.raises(multiprocessing.ProcessError, match="the manager was shut down already"):
        manager.start()

    assert seen == [1]
    with pytest.raises(TypeError, match="initializer must be a callable, got 5"):
        backend.manager().start(5)


def test_after_shutdown(backend: Any) -> None:
    """Nothing more is made; what is there goes on."""
    with backend.manager() as manager:
        shared = manager.list([1])
    shared.append(2)

    assert list(shared) == [1, 2]
    assert "shut down" in repr(manager)
    for make in (manager.dict, manager.Lock, manager.__enter__):
        with pytest.raises(ExecutorClosedError, match="the manager was shut down"):
            make()


def test_after_the_backend_was_closed(backend: Any) -> None:
    """The error says so."""
    manager = backend.manager()
    backend.close()
    for make in (manager.dict, manager.Lock, backend.manager):
        with pytest.raises(ExecutorClosedError, match=r"was closed"):
            make()


@pytest.mark.covers("using-a-remote-manager")
def test_managers_across_programs_are_elsewhere(manager: Any) -> None:
    """UnsupportedError that says where."""
    for use in (lambda: manager.address, manager.connect, manager.get_server):
        with pytest.raises(UnsupportedError, match=r'use as_module\("multiprocessing.managers"\)'):
            use()
