"""
The pytest plugin of the contract suite: guards around every test, and the backend under test.

Nothing loads it but ``-p manyhands.contract.plugin``.
"""

import pytest

pytest.register_assert_rewrite("manyhands.contract.support")

pytest_plugins = ("manyhands.contract.support.guards", "manyhands.contract.support.backends")
