"""scipy on top: ``workers=executor.map``, as its documentation has it."""

import math
from typing import Any

import pytest

from manyhands import Executor

np: Any = pytest.importorskip("numpy", reason="numpy is not installed")
optimize: Any = pytest.importorskip("scipy.optimize", reason="scipy is not installed")
integrate: Any = pytest.importorskip("scipy.integrate", reason="scipy is not installed")


def grows(x: Any) -> Any:
    return np.exp(np.asarray([1.0, 0.5]) * x)


def bowl(point: Any, *, depth: float = 0.0) -> float:
    return float(np.sum((np.asarray(point) - 0.5) ** 2) - depth)


def fails(point: Any) -> float:
    raise ValueError(f"no value at {len(point)} coordinates")


def evolve(fn: Any, workers: Any) -> Any:
    return optimize.differential_evolution(
        fn, [(0, 2)] * 2, workers=workers, updating="deferred", seed=1, maxiter=5, popsize=4, polish=False
    )


def test_differential_evolution(executor: Executor) -> None:
    """Finds what it finds without workers."""
    assert list(evolve(optimize.rosen, executor.map).x) == list(evolve(optimize.rosen, map).x)


def test_an_exception_of_the_function(executor: Executor) -> None:
    """scipy says which call it was, with ours as the cause."""
    with pytest.raises((RuntimeError, ValueError)) as caught:
        evolve(fails, executor.map)

    assert "no value at 2 coordinates" in f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"


def test_brute(executor: Executor) -> None:
    """A grid of points, each an item of our map."""
    found = optimize.brute(bowl, ((0, 1), (0, 1)), Ns=11, workers=executor.map, finish=None)

    assert found == pytest.approx([0.5, 0.5])


def test_shgo(executor: Executor) -> None:
    """Its local minimisers run on our workers."""
    found = optimize.shgo(bowl, [(0, 1)] * 2, n=16, sampling_method="sobol", workers=executor.map)

    assert found.x == pytest.approx([0.5, 0.5])


def test_quad_vec(executor: Executor) -> None:
    """An integral whose intervals are items of our map."""
    found, _ = integrate.quad_vec(grows, 0, 2, workers=executor.map)

    assert found == pytest.approx([math.e**2 - 1, 2 * (math.e - 1)])


def test_other_options_of_map(executor: Executor) -> None:
    """A partial call of our map is a map."""
    from functools import partial

    found = evolve(bowl, partial(executor.map, chunksize=4))

    assert list(found.x) == list(evolve(bowl, map).x)


def test_bootstrap_of_statistics(executor: Executor) -> None:
    """Samples drawn here, their statistics computed there."""
    samples = np.random.default_rng(1).normal(size=(50, 200))

    assert list(executor.map(np.median, samples)) == [np.median(sample) for sample in samples]
