"""A soak: mixed traffic for minutes, while processes and services are killed under it.

    python -m tests.bench.soak --minutes 20

At its end nothing that was acknowledged may be lost or doubled, a process that lived through all of
it holds as much as at its start, and the logs say nothing that is not explained in `logs.py`.
"""
