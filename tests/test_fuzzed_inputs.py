"""A sample of what chance damages: exit code 0, 1 or 2, a few lines, one JSON document, and a state that adds up."""

from pathlib import Path

import pytest
from fuzzed_inputs import KINDS, broken_law, damaged

_CASES = {"yaml": 25, "task": 8, "data": 8, "command": 3}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_damaged_ends_in_a_result_or_a_few_clear_lines(tmp_path: Path, kind: str) -> None:
    for number in range(_CASES[kind]):
        case = damaged(kind, number)
        assert broken_law(tmp_path / str(number), case) == "", f"{kind} {number}: {case}"
