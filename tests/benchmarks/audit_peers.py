"""Intervals of ppi-python (power-tuned PPI, arXiv 2311.01453) in an environment of their own.

python tests/benchmarks/audit_peers.py FOLDER    with in.npz: y0, f0, rest0 and so on; writes out.json
"""

import json
import sys
from pathlib import Path

import numpy as np
from ppi_py import ppi_mean_ci


def main() -> None:
    """The 95% interval of the mean of each."""
    folder = Path(sys.argv[1])
    given = np.load(folder / "in.npz")
    ends = []
    for at in range(len(given.files) // 3):
        y, f, rest = (np.asarray(given[f"{name}{at}"], dtype=float) for name in ("y", "f", "rest"))
        low, high = ppi_mean_ci(y, f, rest, alpha=0.05)
        ends.append((float(low[0]), float(high[0])))
    (folder / "out.json").write_text(json.dumps(ends), encoding="utf-8")


if __name__ == "__main__":
    main()
