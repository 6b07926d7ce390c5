"""The list as a test, and the phenomena one by one."""
import json
import pathlib
import pytest
from hypothesis import given, settings, strategies as st
from grounding_new import ungrounded
from schemas.field import TargetField, ValueType

HERE = pathlib.Path(__file__).parent.parent
TYPES = {"date": ValueType.DATE, "number": ValueType.NUMBER, "amount": ValueType.NUMBER}

def found(item: dict) -> bool:
    value = item["value"] if item["kind"] == "date" else float(item["value"])
    return not ungrounded(item["text"], {"x": value}, [TargetField(name="x", type=TYPES[item["kind"]])])

@pytest.mark.parametrize(("name", "recall", "false"), [("items", 120, 25), ("heldout", 50, 1), ("exam", 37, 0)])
def test_list(name: str, recall: int, false: int) -> None:
    items = [json.loads(line) for line in (HERE / f"{name}.jsonl").open(encoding="utf-8")]
    assert sum(found(i) for i in items if i["positive"]) >= recall
    assert sum(found(i) for i in items if not i["positive"]) <= false

SIGNS = "0123456789.,-/' \u00a0\u202f年月日〇一二三十百千万億兆壱参元令和平成RrHhé€$%may marzo märz de to bis 3億 veintiún twenty hundred १٣,٫"
@settings(max_examples=4000, deadline=500)
@given(st.text(st.sampled_from(SIGNS), max_size=120))
def test_no_text_stops_it(text: str) -> None:
    fields = [TargetField(name="d", type=ValueType.DATE), TargetField(name="n", type=ValueType.NUMBER)]
    assert len(ungrounded(text, {"d": "1900-01-01", "n": -0.123}, fields)) <= 2

@pytest.mark.parametrize("text", ["参加者は四十八名", "3 lots, 5 May", "12 de 2026", "万一の場合", "room 3 on 5 May 2026"])
def test_not_a_date(text: str) -> None:
    assert ungrounded(text, {"d": "2026-05-03"}, [TargetField(name="d", type=ValueType.DATE)])
