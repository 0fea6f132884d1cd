"""scikit-learn on top: what it hands to joblib runs on our backends, and it learns the same."""

from collections.abc import Iterator
from typing import Any

import pytest

import manyhands

np: Any = pytest.importorskip("numpy", reason="numpy is not installed")
joblib: Any = pytest.importorskip("joblib", reason="joblib is not installed")
pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.datasets import make_classification  # noqa: E402 - what may be missing comes first
from sklearn.ensemble import RandomForestClassifier, VotingClassifier  # noqa: E402
from sklearn.inspection import permutation_importance  # noqa: E402
from sklearn.linear_model import LogisticRegression, Ridge  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score  # noqa: E402
from sklearn.tree import DecisionTreeClassifier  # noqa: E402

from manyhands import joblib as ours  # noqa: E402


class Count:
    """How many tasks were submitted."""

    def __init__(self) -> None:
        self.tasks = 0

    @manyhands.hookimpl
    def manyhands_task_submitted(self, executor: Any, task: Any) -> None:
        self.tasks += 1


@pytest.fixture
def tasks(backend_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Count]:
    """With joblib on the backend under test; counts what gets there."""
    monkeypatch.setattr(joblib.parallel, "BACKENDS", dict(joblib.parallel.BACKENDS))
    ours.register()
    count = Count()
    with manyhands.observe(count), joblib.parallel_config("manyhands", name=backend_name):
        yield count


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any]:
    """120 samples of two classes."""
    samples, classes = make_classification(120, 6, random_state=1)
    return samples, classes


@pytest.fixture
def tree() -> Any:
    return DecisionTreeClassifier(max_depth=3, random_state=1)


def test_cross_val_score(tasks: Count, data: Any, tree: Any) -> None:
    """One task for each fold, the scores of a run in one job."""
    scores = cross_val_score(tree, *data, cv=5, n_jobs=2)

    assert tasks.tasks == 5
    assert list(scores) == list(cross_val_score(tree, *data, cv=5, n_jobs=1))


def test_cross_val_predict(tasks: Count, data: Any, tree: Any) -> None:
    """Predictions in the order of the samples."""
    found = cross_val_predict(tree, *data, cv=4, n_jobs=2)

    assert tasks.tasks == 4
    assert (found == cross_val_predict(tree, *data, cv=4, n_jobs=1)).all()


def test_grid_search(tasks: Count, data: Any, tree: Any) -> None:
    """Every point of the grid, in every fold."""
    search = GridSearchCV(tree, {"max_depth": [1, 2, 3], "min_samples_leaf": [1, 5]}, cv=3, n_jobs=2).fit(*data)
    alone = GridSearchCV(tree, search.param_grid, cv=3, n_jobs=1).fit(*data)

    assert tasks.tasks == 3 * 2 * 3
    assert search.best_params_ == alone.best_params_
    assert search.best_score_ == alone.best_score_


def test_a_model_that_fails(tasks: Count, data: Any, tree: Any) -> None:
    """Its error arrives, if it is asked for."""
    search = GridSearchCV(tree, {"max_depth": [1, -1]}, cv=3, n_jobs=2, error_score="raise")

    with pytest.raises(ValueError, match="max_depth"):
        search.fit(*data)


@pytest.mark.capability("in_process")
def test_a_forest(backend: Any, tasks: Count, data: Any) -> None:
    """Trees are grown, and asked, in threads: it wants memory that all share."""
    forest = RandomForestClassifier(12, n_jobs=2, random_state=1).fit(*data)
    grown = tasks.tasks
    found = forest.predict_proba(data[0])

    assert grown >= 2
    assert tasks.tasks > grown
    alone = RandomForestClassifier(12, n_jobs=1, random_state=1).fit(*data)
    assert np.allclose(found, alone.predict_proba(data[0]))


def test_a_forest_in_a_search(tasks: Count, data: Any) -> None:
    """Parallel calls in parallel calls."""
    forest = RandomForestClassifier(4, n_jobs=2, random_state=1)
    scores = cross_val_score(forest, *data, cv=3, n_jobs=2)

    assert list(scores) == list(cross_val_score(forest.set_params(n_jobs=1), *data, cv=3, n_jobs=1))


def test_a_vote(tasks: Count, data: Any, tree: Any) -> None:
    """Different models at the same time."""
    vote = VotingClassifier([("tree", tree), ("line", LogisticRegression())], n_jobs=2).fit(*data)

    assert tasks.tasks == 2
    assert vote.score(*data) > 0.5


def test_importance(tasks: Count, data: Any) -> None:
    """Columns are shuffled in tasks, by seeds of their own."""
    model = Ridge().fit(*data)
    found = permutation_importance(model, *data, n_repeats=3, n_jobs=2, random_state=1)
    alone = permutation_importance(model, *data, n_repeats=3, n_jobs=1, random_state=1)

    assert tasks.tasks == 6
    assert np.allclose(found.importances_mean, alone.importances_mean)


def test_all_jobs(tasks: Count, data: Any, tree: Any) -> None:
    """``n_jobs=-1``, as most people write it."""
    assert len(cross_val_score(tree, *data, cv=5, n_jobs=-1)) == 5
    assert tasks.tasks == (5 if joblib.cpu_count() > 1 else 0)
