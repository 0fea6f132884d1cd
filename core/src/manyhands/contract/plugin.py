"""
The pytest plugin of the contract suite: the backend under test, guards around every test, failures told to strangers.

Nothing loads it but ``-p manyhands.contract.plugin``.
"""

from typing import Final

import pytest

pytest.register_assert_rewrite("manyhands.contract.support")

pytest_plugins: Final = (
    "manyhands.contract.support.guards",
    "manyhands.contract.support.backends",
    "manyhands.contract.support.telling",
)
