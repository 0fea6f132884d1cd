"""
Manager: shared objects of any kind, reached through proxies.

Where tasks run in this process there is no server: a proxy calls its referent in the activity that
calls the proxy, and the referent lives as long as its proxies do.
"""

import copy
from array import array
from builtins import callable as is_callable
from collections.abc import Callable, Iterable, Mapping, MutableMapping, MutableSequence, MutableSet
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeAlias
from weakref import WeakSet

import attrs

from ..errors import ExecutorClosedError, SerializationError, UnsupportedError
from ..options import shorten

if TYPE_CHECKING:
    from ..backend import Backend
    from .pool import Pool

__all__ = [
    "ArrayProxy",
    "BaseProxy",
    "DictProxy",
    "IteratorProxy",
    "ListProxy",
    "Manager",
    "Namespace",
    "NamespaceProxy",
    "SetProxy",
    "Value",
    "ValueProxy",
    "make_proxy_type",
]


@attrs.frozen(kw_only=True)
class _Type:
    """What was registered under a typeid."""

    callable: Callable[..., Any] | None = None
    proxytype: Callable[..., Any] | None = None
    exposed: tuple[str, ...] | None = None
    method_to_typeid: Mapping[str, str] = attrs.field(factory=dict)

    def proxy(self, typeid: str, registry: "_Registry", args: tuple[Any, ...], kwds: dict[str, Any]) -> Any:
        """Make the referent, and a proxy for it."""
        if self.callable is not None:
            referent = self.callable(*args, **kwds)
        elif kwds or len(args) != 1:
            raise ValueError(f"typeid {typeid!r} has no callable, so it takes one positional argument: the referent")
        else:
            (referent,) = args
        exposed = _public_methods(referent) if self.exposed is None else self.exposed
        exposed = (*exposed, *self.method_to_typeid)
        proxytype = self.proxytype or make_proxy_type(f"AutoProxy[{typeid}]", exposed)
        return proxytype(referent, typeid, exposed, self.method_to_typeid, registry)


_Registry: TypeAlias = dict[str, _Type]


# Proxies.


class BaseProxy:
    """
    Stands for a shared object, its *referent*: what tasks are given instead of it.

    Two proxies are equal only if they are the same, whatever their referents. ``str`` of a proxy is
    the representation of its referent. A subclass names the methods that may be called in
    ``_exposed_`` and, in ``_method_to_typeid_``, those whose results are shared in turn.
    """

    travels_by_reference = True

    _exposed_: ClassVar[Iterable[str] | None] = None
    _method_to_typeid_: ClassVar[Mapping[str, str] | None] = None

    def __init__(
        self,
        referent: Any,
        typeid: str,
        exposed: Iterable[str],
        method_to_typeid: Mapping[str, str],
        registry: _Registry,
    ) -> None:
        self._referent = referent
        self._typeid = typeid
        self._exposed = frozenset(exposed)
        self._method_to_typeid = method_to_typeid
        self._registry = registry

    def _callmethod(self, methodname: str, args: Iterable[Any] = (), kwds: Mapping[str, Any] | None = None) -> Any:
        """
        Call a method of the referent; what it raises arrives as it is.

        Raises:
            AttributeError: the method is not exposed.
        """
        if methodname not in self._exposed and methodname not in ("__str__", "__repr__"):
            raise AttributeError(
                f"method {methodname!r} of a shared {self._typeid!r} is not exposed, only "
                f"{', '.join(sorted(self._exposed))}"
            )
        result = getattr(self._referent, methodname)(*args, **(kwds or {}))
        if result is self._referent:  # ``proxy += ...`` and the like
            return self
        typeid = self._method_to_typeid.get(methodname)
        return result if typeid is None else _registered(self._registry, typeid, (result,))

    def _getvalue(self) -> Any:
        """A copy of the referent."""
        return copy.copy(self._referent)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self._referent, memo)

    def __reduce__(self) -> Any:
        raise SerializationError(f"a proxy of a shared {self._typeid!r} can only be passed to tasks, not pickled")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object, typeid {self._typeid!r} at {id(self):#x}>"

    def __str__(self) -> str:
        return repr(self._referent)


def make_proxy_type(name: str, exposed: str | Iterable[str]) -> Any:
    """A subclass of :class:`BaseProxy` with a method for each *exposed* name (in one text: between blanks)."""
    exposed = tuple(exposed.split() if isinstance(exposed, str) else exposed)
    return type(name, (BaseProxy,), {"_exposed_": exposed, **{method: _forward(method) for method in exposed}})


def _forward(method: str) -> Callable[..., Any]:
    def call(self: BaseProxy, /, *args: Any, **kwds: Any) -> Any:
        return self._callmethod(method, args, kwds)

    call.__name__ = method
    return call


def _public_methods(referent: Any) -> tuple[str, ...]:
    return tuple(name for name in dir(referent) if name[0] != "_" and callable(getattr(referent, name)))


def _registered(registry: _Registry, typeid: str, args: tuple[Any, ...], kwds: dict[str, Any] | None = None) -> Any:
    if typeid not in registry:
        raise KeyError(f"no typeid {shorten(typeid)} is registered, only {', '.join(registry)}")
    kind = registry[typeid]
    if kwds is None:  # it is there already: the result of a method
        kind = attrs.evolve(kind, callable=None)
    return kind.proxy(typeid, registry, args, kwds or {})


def _as_it_is(referent: Any, *_: Any) -> Any:
    """Instead of a proxy, for what may be passed to tasks by itself."""
    return referent


class IteratorProxy(BaseProxy):
    """An iterator or generator."""

    _exposed_ = ("__next__", "send", "throw", "close")

    def __iter__(self) -> "IteratorProxy":
        return self

    def __next__(self) -> Any:
        return self._callmethod("__next__")

    def send(self, value: Any) -> Any:
        return self._callmethod("send", (value,))

    def throw(self, *args: Any) -> Any:
        return self._callmethod("throw", args)

    def close(self) -> None:
        self._callmethod("close")


ListProxy: Any = make_proxy_type(
    "ListProxy",
    """
    __add__ __contains__ __delitem__ __getitem__ __iadd__ __imul__ __len__ __mul__ __reversed__ __rmul__
    __setitem__ append clear copy count extend index insert pop remove reverse sort
    """,
)
DictProxy: Any = make_proxy_type(
    "DictProxy",
    """
    __contains__ __delitem__ __getitem__ __ior__ __iter__ __len__ __or__ __reversed__ __ror__
    __setitem__ clear copy fromkeys get items keys pop popitem setdefault update values
    """,
)
SetProxy: Any = make_proxy_type(
    "SetProxy",
    """
    __and__ __contains__ __ge__ __gt__ __iand__ __ior__ __isub__ __iter__ __ixor__ __le__ __len__ __lt__
    __or__ __rand__ __ror__ __rsub__ __rxor__ __sub__ __xor__ add clear copy difference
    difference_update discard intersection intersection_update isdisjoint issubset issuperset pop remove
    symmetric_difference symmetric_difference_update union update
    """,
)
ArrayProxy: Any = make_proxy_type("ArrayProxy", "__getitem__ __len__ __setitem__")
MutableSequence.register(ListProxy)
MutableMapping.register(DictProxy)
MutableSet.register(SetProxy)


class NamespaceProxy(BaseProxy):
    """Any object: its attributes are the proxy's, except those that start with an underscore."""

    _exposed_ = ("__delattr__", "__getattribute__", "__setattr__")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._callmethod("__getattribute__", (name,))

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            self._callmethod("__setattr__", (name, value))

    def __delattr__(self, name: str) -> None:
        if name.startswith("_"):
            object.__delattr__(self, name)
        else:
            self._callmethod("__delattr__", (name,))


class ValueProxy(BaseProxy):
    """A :class:`Value`."""

    _exposed_ = ("get", "set")

    def get(self) -> Any:
        return self._callmethod("get")

    def set(self, value: Any) -> None:
        self._callmethod("set", (value,))

    value: Any = property(get, set)


# Referents.


class Namespace:
    """Something to have attributes."""

    def __init__(self, /, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def __repr__(self) -> str:
        public = sorted((name, value) for name, value in self.__dict__.items() if not name.startswith("_"))
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in public)})"


class Value:
    """One value of any kind; the typecode is only shown."""

    def __init__(self, typecode: Any, value: Any, lock: Any = True) -> None:
        self._typecode = typecode
        self.value: Any = value

    def get(self) -> Any:
        """The value."""
        return self.value

    def set(self, value: Any) -> None:
        """Replace the value."""
        self.value = value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._typecode!r}, {self.value!r})"


def _array(typecode: str, sequence: Iterable[Any], lock: Any = True) -> "array[Any]":
    return array(typecode, sequence)


# The manager.


class Manager:
    """
    Makes shared objects, with the interface of :class:`multiprocessing.managers.SyncManager`.

    ``dict``, ``list``, ``set``, ``Namespace``, ``Value``, ``Array`` and whatever a subclass registers
    come as proxies. Locks and the like and queues come as the backend's own: they may be passed to
    tasks as they are. May be used at once; ``with`` or ``start`` is not needed.
    """

    _registry: ClassVar[_Registry] = {}

    def __init__(self, backend: "Backend[Any]") -> None:
        self._backend = backend
        self._state = "initial"
        self._pools: WeakSet[Pool] = WeakSet()

    @classmethod
    def register(
        cls,
        typeid: str,
        callable: Callable[..., Any] | None = None,
        proxytype: type[BaseProxy] | None = None,
        exposed: Iterable[str] | None = None,
        method_to_typeid: Mapping[str, str] | None = None,
        create_method: bool = True,
    ) -> None:
        """
        Have this class of managers make objects of a further type.

        Args:
            typeid: What the type is called, and the method that makes one.
            callable: Makes the referent; None makes a proxy for the one argument of the method.
            proxytype: The class of the proxies; None makes one with the exposed methods.
            exposed: The methods that proxies may call; None takes ``proxytype._exposed_``, else
                every method of the referent that does not start with an underscore.
            method_to_typeid: Methods whose results are shared in turn, as objects of which typeid.
            create_method: Whether managers get a method of that name.

        Raises:
            TypeError: an argument is of the wrong kind.
        """
        if not isinstance(typeid, str):
            raise TypeError(f"typeid must be a text, got {shorten(typeid)}")
        if callable is not None and not is_callable(callable):
            raise TypeError(f"the callable of {typeid!r} must be callable, got {shorten(callable)}")
        if proxytype is not None and not (isinstance(proxytype, type) and issubclass(proxytype, BaseProxy)):
            raise TypeError(
                f"the proxytype of {typeid!r} must be a subclass of this module's BaseProxy, got {proxytype!r}"
            )
        exposed = exposed or getattr(proxytype, "_exposed_", None)
        results = method_to_typeid or getattr(proxytype, "_method_to_typeid_", None) or {}
        if not all(isinstance(name, str) for pair in results.items() for name in pair):
            raise TypeError(f"method_to_typeid of {typeid!r} must map texts to texts, got {shorten(results)}")
        if "_registry" not in cls.__dict__:
            cls._registry = cls._registry.copy()
        cls._registry[typeid] = _Type(
            callable=callable,
            proxytype=proxytype,
            exposed=None if exposed is None else tuple(exposed),
            method_to_typeid=results,
        )
        if create_method:

            def create(self: Manager, /, *args: Any, **kwds: Any) -> Any:
                return self._create(typeid, *args, **kwds)

            create.__name__ = typeid
            setattr(cls, typeid, create)

    def _create(self, typeid: str, /, *args: Any, **kwds: Any) -> Any:
        self._check_usable()
        return _registered(self._registry, typeid, args, kwds)

    # What may be passed to tasks by itself.

    def Lock(self) -> Any:
        """``backend.lock()``."""
        return self._usable().lock()

    def RLock(self) -> Any:
        """``backend.rlock()``."""
        return self._usable().rlock()

    def Semaphore(self, value: int = 1) -> Any:
        """``backend.semaphore(value)``."""
        return self._usable().semaphore(value)

    def BoundedSemaphore(self, value: int = 1) -> Any:
        """``backend.bounded_semaphore(value)``."""
        return self._usable().bounded_semaphore(value)

    def Condition(self, lock: Any = None) -> Any:
        """``backend.condition(lock)``."""
        return self._usable().condition(lock)

    def Event(self) -> Any:
        """``backend.event()``."""
        return self._usable().event()

    def Barrier(self, parties: int, action: Callable[[], object] | None = None, timeout: float | None = None) -> Any:
        """``backend.barrier(parties, action, timeout)``."""
        return self._usable().barrier(parties, action, timeout)

    def Queue(self, maxsize: int = 0) -> Any:
        """``backend.queue(maxsize)``."""
        return self._usable().queue(maxsize)

    JoinableQueue = Queue

    def Pool(self, *args: Any, **kwds: Any) -> "Pool":
        """``backend.pool(...)``; terminated by ``shutdown``."""
        pool = self._usable().pool(*args, **kwds)
        self._pools.add(pool)
        return pool

    # Life.

    def start(self, initializer: Callable[..., object] | None = None, initargs: Iterable[Any] = ()) -> None:
        """
        Call the initializer; there is no process to start.

        Raises:
            multiprocessing.ProcessError: it was started, or shut down.
            TypeError: *initializer* is not callable.
        """
        from multiprocessing import ProcessError

        if self._state != "initial":
            raise ProcessError(f"the manager was {self._state} already")
        if initializer is not None:
            if not callable(initializer):
                raise TypeError(f"initializer must be a callable, got {shorten(initializer)}")
            initializer(*initargs)
        self._state = "started"

    def shutdown(self) -> None:
        """Make nothing more, and terminate its pools; proxies go on. May be called again."""
        self._state = "shut down"
        for pool in tuple(self._pools):
            pool.terminate()

    def __enter__(self) -> Self:
        if self._state == "initial":
            self.start()
        self._check_usable()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()

    @property
    def address(self) -> NoReturn:
        """Only of managers that other programs connect to."""
        self._refuse_remote("the address of a manager")

    def connect(self) -> NoReturn:
        """Only of managers that other programs connect to."""
        self._refuse_remote("connecting to a manager")

    def get_server(self) -> NoReturn:
        """Only of managers that other programs connect to."""
        self._refuse_remote("the server of a manager")

    def _refuse_remote(self, what: str) -> NoReturn:
        raise UnsupportedError(
            self._backend.name, f'{what}; for managers across programs use as_module("multiprocessing.managers")'
        )

    def _check_usable(self) -> None:
        if self._state == "shut down":
            raise ExecutorClosedError("the manager was shut down")
        self._backend.check_open()

    def _usable(self) -> "Backend[Any]":
        self._check_usable()
        return self._backend

    def __reduce__(self) -> Any:
        raise SerializationError("a manager can only be used by who made it; pass its objects to tasks")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._backend.name}, {self._state}>"

    # What is registered below.
    dict: Callable[..., Any]
    list: Callable[..., Any]
    set: Callable[..., Any]
    Namespace: Callable[..., Any]
    Value: Callable[..., Any]
    Array: Callable[..., Any]


Manager.register("list", list, ListProxy)
Manager.register("dict", dict, DictProxy)
Manager.register("set", set, SetProxy)
Manager.register("Namespace", Namespace, NamespaceProxy)
Manager.register("Value", Value, ValueProxy)
Manager.register("Array", _array, ArrayProxy)
Manager.register("Iterator", proxytype=IteratorProxy, create_method=False)
# Their methods may be results of registered types, too.
for _typeid in ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier", "Queue"):
    Manager._registry[_typeid] = _Type(proxytype=_as_it_is)
