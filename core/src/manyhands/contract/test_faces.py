"""What every module-shaped object is like."""

import pickle
import queue
import threading
import types
from typing import Any, Final

import pytest

from manyhands import SerializationError, UnsupportedError

pytestmark: Final = pytest.mark.contract("manyhands.Backend.as_module")


def test_a_module_is_made_once(backend: Any) -> None:
    """The same one comes back each time, so that what a program sets in it stays."""
    assert backend.as_module("threading") is backend.as_module("threading")


def test_two_backends_have_modules_of_their_own(backend: Any) -> None:
    """What is set in a module of one backend is not seen in that of another."""
    with type(backend)(backend.options) as other:
        assert other.as_module("threading") is not backend.as_module("threading")


def test_a_module_says_what_it_is(backend: Any) -> None:
    """Its repr names module and backend."""
    assert repr(backend.as_module("queue")) == f"<module 'queue' over backend {backend.name!r}>"


def test_a_module_is_a_module(backend: Any) -> None:
    """Code that checks the type is content."""
    assert isinstance(backend.as_module("queue"), types.ModuleType)


def test_an_unknown_module_is_refused(backend: Any) -> None:
    """The error names the backend, the module, and what there is."""
    message = (
        rf"^backend '{backend.name}' does not offer module 'threadin': there are .*, sched, subprocess, threading$"
    )

    with pytest.raises(UnsupportedError, match=message):
        backend.as_module("threadin")


def test_an_unknown_name_is_an_attribute_error(backend: Any) -> None:
    """As with any module, and the message says whose."""
    with pytest.raises(AttributeError, match=rf"module 'queue' over backend '{backend.name}' has no attribute 'Stack'"):
        backend.as_module("queue").Stack  # noqa: B018


def test_a_submodule_is_there_without_an_import(backend: Any) -> None:
    """``multiprocessing.pool`` is what ``as_module("multiprocessing.pool")`` gives."""
    assert backend.as_module("multiprocessing").pool is backend.as_module("multiprocessing.pool")


def test_a_private_name_is_not_taken_for_a_submodule(backend: Any) -> None:
    """Tools ask modules for ``__path__`` and the like."""
    assert not hasattr(backend.as_module("multiprocessing"), "__path__")


def test_a_module_cannot_be_pickled_by_itself(backend: Any) -> None:
    """It is as its backend is: for tasks only."""
    with pytest.raises(SerializationError, match=f"backend '{backend.name}' can only be passed to its own tasks"):
        pickle.dumps(backend.as_module("queue"))


def test_a_module_may_be_used_by_tasks(backend: Any) -> None:
    """It arrives as the same module."""
    face = backend.as_module("queue")

    with backend.executor() as executor:
        assert executor.submit(lambda module: module, face).result() is face


# Classes whose objects the backend makes.


def test_an_object_is_the_backends_own(backend: Any) -> None:
    """So it is one to pass to tasks, and as fast."""
    assert type(backend.as_module("queue").Queue()) is type(backend.queue())


def test_an_object_is_an_instance_of_its_class(backend: Any) -> None:
    """``isinstance`` with a class of the module works, whoever made the object."""
    assert isinstance(backend.queue(), backend.as_module("queue").Queue)


def test_another_object_is_no_instance(backend: Any) -> None:
    """``isinstance`` with a class of the module can say no."""
    assert not isinstance(backend.event(), backend.as_module("queue").Queue)


def test_a_class_may_stand_in_annotations(backend: Any) -> None:
    """With an item type and in a union, evaluated."""
    face = backend.as_module("queue")

    assert str(face.Queue[int] | None) == "queue.Queue[int] | None"
    assert face.Queue | None


def test_a_class_with_an_item_type_can_be_called(backend: Any) -> None:
    """``Queue[int]()`` makes a queue."""
    assert isinstance(backend.as_module("queue").Queue[int](), backend.as_module("queue").Queue)


def test_a_class_of_the_backends_objects_cannot_be_a_base(backend: Any) -> None:
    """The backend would not make objects of the subclass: that is said at once."""
    base = backend.as_module("queue").Queue

    with pytest.raises(UnsupportedError, match=rf"'{backend.name}' does not offer queue\.Queue as a base class"):
        type("JobQueue", (base,), {})


def test_wrong_arguments_are_a_type_error(backend: Any) -> None:
    """As for any class."""
    with pytest.raises(TypeError):
        backend.as_module("queue").Queue(1, 2, 3)


def test_the_standard_library_is_left_alone(backend: Any) -> None:
    """Nothing is patched."""
    backend.as_module("threading").excepthook = print
    backend.as_module("queue")

    assert threading.excepthook is not print
    assert queue.Queue.__module__ == "queue"
