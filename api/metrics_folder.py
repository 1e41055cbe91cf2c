"""The folder in which the processes of a service add up their figures.

It must be named before anything imports prometheus_client, which looks for it once; so it is apart from api/metrics.py.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def metrics_folder() -> Iterator[None]:
    """Have an empty folder for the figures of this run, removed by the process that made it, not by those it forked."""
    folder, maker = tempfile.mkdtemp(prefix="orderledger-metrics-"), os.getpid()
    os.environ[VARIABLE] = folder
    try:
        yield
    finally:
        if os.getpid() == maker:
            del os.environ[VARIABLE]
            shutil.rmtree(folder, ignore_errors=True)
