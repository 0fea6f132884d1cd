"""
The pytest plugin of the contract suite: the backend under test, guards around every test, failures told to strangers.

Nothing loads it but ``-p manyhands.contract.plugin``.
"""

import pytest

pytest.register_assert_rewrite("manyhands.contract.support")

pytest_plugins = (
    "manyhands.contract.support.guards",
    "manyhands.contract.support.backends",
    "manyhands.contract.support.telling",
)
