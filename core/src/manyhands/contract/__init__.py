"""
The contract suite: what every backend must do, written once.

It runs with ``manyhands check NAME``, or with ``pytest -p manyhands.contract.plugin
--manyhands-backend NAME --pyargs manyhands.contract``. One module per subject; nothing else imports it.
"""
