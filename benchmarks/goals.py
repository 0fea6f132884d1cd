"""
The rows of the table: what is compared with what, and how much better it is to be.

A ratio says how many times better ours is than the peer, whatever the unit: 2 is twice as fast, or
half as much memory. *must* is what a release owes, *aim* is what the project is here for. A row
without goals is there for information.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table: two contestants in one workload."""

    title: str
    #: A key of ``workloads.WORKLOADS``.
    workload: str
    #: Keys of ``contestants.CONTESTANTS``, or of the workload's programs.
    ours: str
    peer: str
    must: float | None = None
    aim: float | None = None


ROWS = (
    Row("thread: submit + gather, context copied", "submit-gather", "threading", "cf-thread", 4, 6),
    Row("thread: submit + gather, context=False", "submit-gather", "threading-no-context", "cf-thread", 5.5, 7),
    Row("thread: latency", "latency", "threading", "cf-thread", 1, 1.2),
    Row("thread: map, a million items", "map", "threading", "mp-thread", 0.8, 1),
    Row("thread: map, chunksize=1", "map-chunksize-1", "threading", "mp-thread", 0.9, 1.2),
    Row("thread: bytes per pending future", "future-bytes", "threading", "cf-thread", 5, 7),
    Row("import of the package", "import", "manyhands", "cf-thread", 0.8, 1.5),
    Row("fresh interpreter to first result", "first-result", "threading", "cf-thread", 1 / 4, 1 / 3),
    Row("lock, uncontended", "lock", "threading", "stdlib", 0.9, 1),
    Row("dummy: submit to result", "latency", "dummy", "cf-thread", 40, 60),
    # For information: other peers, and what hosting costs beside the native form.
    Row("thread: submit + gather", "submit-gather", "threading", "pebble-thread"),
    Row("thread: submit + gather (one Parallel call)", "submit-gather", "threading", "joblib-thread"),
    Row("thread: latency", "latency", "threading", "pebble-thread"),
    Row("thread: map, 20,000 items", "map-short", "threading", "cf-thread"),
    Row("thread: map, 20,000 items", "map-short", "threading", "pebble-thread"),
    Row("thread: map, 20,000 items", "map-short", "threading", "joblib-thread"),
    Row("thread: bytes per pending future", "future-bytes", "threading", "pebble-thread"),
    Row("queue, one thread to another", "queue", "threading", "stdlib"),
    Row("lock, hosted beside native", "lock", "threading-hosted", "threading"),
    Row("queue, hosted beside native", "queue", "threading-hosted", "threading"),
    Row("dummy: map, a million items", "map", "dummy", "mp-thread"),
)
