"""Nothing in curation fills in a case: its parts are frozen, and so is what stages make of them."""

import ast
import itertools
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from known_cases import changed, known_case
from pydantic import BaseModel

from pipeline.curation import case as cases
from pipeline.curation.audit import Chance
from pipeline.curation.case import Case, Judged, Matched
from pipeline.curation.kept_cases import read_cases, write_cases
from pipeline.curation.known import Answered, Doubt, Known, Past
from pipeline.curation.settle import Outcome
from schemas.annotation import Verdict
from schemas.fate import Reason, ReasonCode, Routed
from schemas.field import JsonValue

PARTS = (Judged, Known, Answered, Past, Chance, Doubt, Matched)
PLAIN = (str, int, float, bool, type(None))
JSON = (dict[str, JsonValue], dict[str, Any])
"""The values of a row as they were read; nobody changes one."""


def fillable(annotation: Any, where: str) -> Iterator[str]:
    """The places below a type where something could be filled in; of a dataclass also whether it is frozen."""
    if annotation in JSON or annotation is Ellipsis:
        return
    if get_origin(annotation) is tuple or (get_origin(annotation) is not None and type(None) in get_args(annotation)):
        for one in get_args(annotation):
            yield from fillable(one, where)
    elif is_dataclass(annotation):
        if not annotation.__dataclass_params__.frozen or "__dict__" in dir(annotation):
            yield where
        for name, kind in get_type_hints(annotation).items():
            yield from fillable(kind, f"{annotation.__name__}.{name}")
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not annotation.model_config.get("frozen"):
            yield where
    elif not (isinstance(annotation, type) and issubclass(annotation, (*PLAIN, Enum))):
        yield where


@pytest.mark.parametrize("part", [*PARTS, Case, Outcome])
def test_every_part_of_a_case_is_frozen_and_holds_no_list(part: type) -> None:
    assert list(fillable(part, part.__name__)) == []


def test_the_parts_named_here_are_all_of_them() -> None:
    """Or the claim above would leave some out."""
    found, waiting = set(), [Judged]
    while waiting:
        part = waiting.pop()
        found.add(part)
        hints = get_type_hints(part).values()
        waiting += [one for hint in hints for one in (hint, *get_args(hint)) if is_dataclass(one) and one not in found]
    assert found == set(PARTS)


def test_what_could_be_filled_in_is_found() -> None:
    """Or the claim above would hold of anything."""
    for kind in (list[str], tuple[list[str], ...], set[str], dict[str, int], bytearray, list[str] | None):
        assert list(fillable(kind, "it")) == ["it"]


def test_a_case_refuses_what_is_assigned_to_it() -> None:
    case = known_case("r1")
    for value in (case, case.known, case.known.answered, case.known.past, case.matched, case.doubt):
        for field in fields(value):
            with pytest.raises(FrozenInstanceError):
                setattr(value, field.name, None)


def test_no_module_of_curation_gets_around_that() -> None:
    for path in Path(cases.__file__).parent.glob("*.py"):
        names = [node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
        assert "__setattr__" not in names, path.name


REASON = Reason(code=ReasonCode.CORRECTED, detail="'a', not 'b'", refs=("r9",))
KNOWN = {
    "order": 3, "content": "c", "fixed_split": "test", "frozen": True, "text_key": "k", "inputs": {"text": ["t"]},
    "targets": {"kind": "a"}, "draft": {"kind": None}, "rejection_reasons": [REASON], "review_reasons": [REASON],
}  # fmt: skip
ANSWERED = {
    "human": Verdict.LABELED, "human_reasons": [REASON], "replaced": {"kind": "b"}, "entered": True,
    "corrected": {"kind": "c"}, "contradicted": True, "is_trusted": True, "unconfirmed": True,
}  # fmt: skip
PAST = {
    "past": Past(
        Routed.AUDIT, Chance(1, 0.5), scored=True, asked_as="d", doubt=Doubt(0.5, {"kind": "b"}, (REASON,), 0.25)
    )
}
MATCHED = {
    "duplicate_of": "r0", "exact": True, "similarity": 0.75, "threshold": 0.5, "conflicting_answers": 2,
    "conflict_answers": ["b", "c"], "conflict_rows": ["r2", "r3"], "overridden_by": "r4", "bridges": ("test", "train"),
    "corrected_elsewhere": REASON, "group": "g", "pinned_split": "test",
}  # fmt: skip


def test_cases_come_out_of_their_file_as_they_went_in(tmp_path: Path) -> None:
    parts = [KNOWN, ANSWERED, PAST, {"past": Past(Routed.AUDIT)}, MATCHED, {"model_answer": {"kind": "d"}}]
    some: list[Case] = []
    for count in range(len(parts) + 1):
        for chosen in itertools.combinations(parts, count):
            values = {name: value for part in chosen for name, value in part.items()}
            one = changed(known_case(f"r{len(some)}"), **values)
            some.append(Case(one.known, one.matched, one.model_answer))
    write_cases(some, tmp_path / "cases")
    assert read_cases(tmp_path / "cases") == some
    assert read_cases(tmp_path / "cases", [5, 2]) == [some[5], some[2]]
    filled = some[-1]
    assert all(getattr(filled.matched, field.name) != getattr(Matched(), field.name) for field in fields(Matched))
