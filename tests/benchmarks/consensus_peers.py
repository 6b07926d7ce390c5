"""Runs crowd-kit's aggregators in an environment of their own: a folder of votes in, labels and seconds out.

python tests/benchmarks/consensus_peers.py FOLDER NAME...
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from crowdkit import aggregation


def _labels(name: str, frame: pd.DataFrame) -> tuple[dict[str, int], float]:
    arguments = {"n_iter": 100} if name in ("DawidSkene", "OneCoinDawidSkene", "GLAD") else {}
    aggregator = getattr(aggregation, name)(**arguments)
    started = time.process_time()
    found = aggregator.fit_predict(frame)
    return {str(item): int(label) for item, label in found.items()}, time.process_time() - started


def main() -> None:
    """Write ``NAME.json`` for each ``NAME.npy``."""
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    for path in sorted(folder.glob("*.npy")):
        frame = pd.DataFrame(np.load(path), columns=["task", "worker", "label"])
        found = {}
        for name in names:
            try:
                found[name] = _labels(name, frame)
            except Exception as error:
                found[name] = (f"{type(error).__name__}: {error}", 0.0)
        path.with_suffix(".json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
