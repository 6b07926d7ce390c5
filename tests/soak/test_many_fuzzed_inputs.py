"""Hundreds of datasets, tasks, files and command lines that chance has damaged keep every law."""

import os
from pathlib import Path

import pytest
from fuzzed_inputs import KINDS, broken_law, damaged

_SEED = int(os.environ.get("SOAK_SEED") or 0)
_SCALE = float(os.environ.get("SOAK_SCALE") or 1)
_CASES = {"yaml": 500, "task": 200, "data": 200, "command": 60}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_chance_damages_ends_in_a_result_or_a_few_clear_lines(tmp_path: Path, kind: str) -> None:
    broken = {}
    for number in range(int(_CASES[kind] * _SCALE)):
        # Apart from the cases of other seeds, and of the sample.
        case = damaged(kind, number + 1_000_000 * (_SEED + 1))
        if problem := broken_law(tmp_path / str(number), case):
            broken[number] = f"{problem}\n  {case}"
    assert not broken, f"seed {_SEED}: {len(broken)} cases\n" + "\n".join(f"{kind} {n}: {p}" for n, p in broken.items())
