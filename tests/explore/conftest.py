"""All of this is explored under the dummy backend: without it there is nothing to collect."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("manyhands_dummy") else ["test_*.py"]
