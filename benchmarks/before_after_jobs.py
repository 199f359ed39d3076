"""The measurements of `benchmarks.before_after`, by the public API alone, so that any checkout can run them.

`python -P before_after_jobs.py JOB ARGUMENT...` with PYTHONPATH set to a checkout prints one figure. This file imports nothing of `benchmarks`.
"""

import json
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from statistics import median

WARM_UP, QUERIES = 50, 500  # searches


def imports(module: str) -> float:
    """Milliseconds to import a module, with `FeatureStore` where it exports that."""
    began = time.perf_counter()
    getattr(import_module(module), "FeatureStore", None)  # resolves a lazy export
    return 1000 * (time.perf_counter() - began)


def warm(store: str, queries: str) -> float:
    """Median milliseconds of a search by vector in an open store."""
    import numpy as np

    from featurestore import FeatureStore

    opened, vectors = FeatureStore.open(store), np.load(queries)
    times = []
    for query in vectors[: WARM_UP + QUERIES]:
        began = time.perf_counter()
        opened.search(query, k=10)
        times.append(1000 * (time.perf_counter() - began))
    return median(times[WARM_UP:])


def extract(folder: str, encoder: str) -> float:
    """Seconds to bring the images of a folder into a new store."""
    return _ingest(folder, encoder)[0]


def extract_again(folder: str, encoder: str) -> float:
    """Seconds of a second run over the same folder, which finds nothing new."""
    return _ingest(folder, encoder)[1]


def _ingest(folder: str, encoder: str) -> list[float]:
    from featurestore import FeatureStore

    seconds = []
    with tempfile.TemporaryDirectory() as out:
        store = FeatureStore.open(Path(out) / "new.store", encoder=encoder)
        for _ in range(2):
            began = time.perf_counter()
            store.index(folder)
            seconds.append(time.perf_counter() - began)
    return seconds


def command(*arguments: str) -> None:
    """Run the command line `featurestore`."""
    from featurestore.cli import main

    sys.argv = ["featurestore", *arguments]
    main()


if __name__ == "__main__":
    job, *rest = sys.argv[1:]
    result = globals()[job](*rest)
    print("\n" + json.dumps(result))
