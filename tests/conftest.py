"""Guards around every test, and the backend under test: see ``support``."""

pytest_plugins = ("support.guards", "support.backends")
