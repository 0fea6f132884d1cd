"""A backend is opened with options, and asked what it can do."""

from typing import Any

import attrs
import pytest

import manyhands
from manyhands import Capabilities, ConfigError, UnsupportedError

CAPABILITIES = [field.name for field in attrs.fields(Capabilities)]


@pytest.mark.contract("manyhands.BackendOptions")
class TestOptions:
    def test_an_option_is_given_by_name(self, backend_name: str) -> None:
        """And can be read where the backend is."""
        with manyhands.open_backend(backend_name, max_workers=3, grace=0.5) as backend:
            assert (backend.options.max_workers, backend.options.grace) == (3, 0.5)

    def test_they_do_not_change(self, backend: Any) -> None:
        """Whoever holds options holds valid ones."""
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            backend.options.max_workers = 5

    def test_a_wrong_value_names_the_option_and_its_bounds(self, backend_name: str) -> None:
        """Before anything starts."""
        with pytest.raises(ConfigError, match=r"\.max_workers must be 1 to \d+ workers, got 0$"):
            manyhands.open_backend(backend_name, max_workers=0)

    def test_an_unknown_option_is_an_error(self, backend_name: str) -> None:
        """With the nearest name."""
        with pytest.raises(ConfigError, match=f"backend '{backend_name}' has no option 'max_worker', did you mean"):
            manyhands.open_backend(backend_name, max_worker=1)

    def test_its_own_options_are_keyword_only_attrs_classes(self, backend: Any) -> None:
        """So that config files, the environment and arguments can all give them."""
        kind = type(backend).options_type

        assert issubclass(kind, manyhands.BackendOptions)
        assert all(field.kw_only and field.default is not attrs.NOTHING for field in attrs.fields(kind))


@pytest.mark.contract("manyhands.Capabilities")
class TestCapabilities:
    def test_an_open_backend_offers_what_its_class_says(self, backend: Any) -> None:
        """So that it can be chosen before it is opened."""
        assert backend.capabilities == type(backend).capabilities

    @pytest.mark.parametrize("name", CAPABILITIES)
    def test_who_asks_for_a_capability_gets_it_or_an_error(self, backend_name: str, name: str) -> None:
        """One that does not offer it is not opened, but another that does, or UnsupportedError names both."""
        offering = [info.name for info in manyhands.backends(load=True) if not _lacks(info, name)]
        explanation = manyhands.explain(backend_name, requires=[name])
        (reason,) = [candidate.reason for candidate in explanation.candidates if candidate.name == backend_name]

        assert (explanation.chosen == backend_name) is (backend_name in offering)
        if backend_name not in offering:
            assert name in reason
        if offering:
            manyhands.open_backend(backend_name, requires=[name]).close()
        else:
            with pytest.raises(UnsupportedError, match=f"'[^']*{backend_name}[^']*' does not offer {name}$"):
                manyhands.open_backend(backend_name, requires=[name])


def _lacks(info: manyhands.BackendInfo, name: str) -> bool:
    return info.capabilities is None or bool(info.capabilities.missing([name]))
