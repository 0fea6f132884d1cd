"""``python -m manyhands`` is the command ``manyhands``."""

import sys

from .cli import main

sys.exit(main())
