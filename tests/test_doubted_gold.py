"""A known answer that annotators or models contradict alike is named: it would be published as an annotator's."""

from pathlib import Path

import pytest
from desk import desk_at
from fake_studio import FakeStudio
from home_of_answers import Answer, home_in
from report_toys import empty_report, section
from support import current, row, write_rows
from team import ANA, BEN, CLEO, DORA, NAMED, answer, go_on, review
from team_toys import team
from terminal import Terminal
from test_gold_items import KNOWN, OPEN, gold, shop

from pipeline.config.dataset_file import load_dataset_file
from pipeline.reporting.annotators import shown_team
from pipeline.reporting.doubted_gold import DoubtedGold, doubted_in
from pipeline.reporting.report_page import render_report
from pipeline.reporting.status import read_status
from pipeline.reporting.write_report import write_report
from schemas.annotation import Verdict
from schemas.fate import Fate, LabelSource
from schemas.seat import Seat, SeatKind

RETURNS, BILLING = {"topic": "returns"}, {"topic": "billing"}
TOY = DoubtedGold(
    record_id="r1", place="known.jsonl:3", known="topic 'billing'", said="topic 'returns'", annotators=[ANA, BEN],
    models=1, confirmed=1, by_adjudicator=False,
)  # fmt: skip


# --- which ones -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("said", "models", "expected"),
    [
        (["returns"], (None, None), None),
        (["returns", "returns"], (None, None), (2, 0, 0)),
        (["returns", "delivery"], (None, None), None),
        (["returns", "returns", "billing"], (BILLING, None), (2, 0, 1)),
        (["returns", "returns", "billing", "billing"], (RETURNS, RETURNS), (2, 2, 2)),
        (["returns", "returns", "billing", "billing"], (RETURNS, BILLING), None),
        (["returns"], (RETURNS, None), (1, 1, 0)),
        (["returns"], (RETURNS, BILLING), None),
        (["returns", "billing", "billing"], (RETURNS, RETURNS), None),
        ([], (RETURNS, None), None),
        ([], (RETURNS, RETURNS), (0, 2, 0)),
        ([], (RETURNS, BILLING), None),
        (["billing"], (RETURNS, RETURNS), None),
        ([Verdict.UNUSABLE, Verdict.UNUSABLE, Verdict.UNSURE], (None, None), (2, 0, 0)),
    ],
)
def test_a_known_answer_is_doubted_if_two_contradict_it_alike_and_more_than_confirm_it(
    tmp_path: Path, said: list[Answer], models: tuple[dict[str, str] | None, ...], expected: tuple[int, ...] | None
) -> None:
    home = home_in(tmp_path)
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("name: examples", "name: s").replace("MIT}", "MIT, gold: true}"))
    home.dataset = load_dataset_file(file)
    suggestion, model_answer = models
    item = home.asked("g", fate=Fate.ACCEPTED, routed=None, label_source=LabelSource.HUMAN, suggestion=suggestion,
                      model_answer=model_answer)  # fmt: skip
    home.curated(item)
    home.said_all(
        (f"{number}", one, item, Seat(kind=SeatKind.GOLD, annotator=f"user{number}")) for number, one in enumerate(said)
    )
    found = [(len(one.annotators), one.models, one.confirmed) for one in doubted_in(home.now, home.dataset)]
    assert found == ([] if expected is None else [expected])


# --- a team -----------------------------------------------------------------------------------------
def test_a_wrong_row_of_a_gold_source_is_named_everywhere_until_it_is_corrected(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with shop(studio, tmp_path, NAMED, "gold: 0.5") as desk:
        [known] = [one for one in current(desk.context).values() if one.inputs == {"question": KNOWN[0]["question"]}]
        copies = gold(desk).filter(record_id=known.record_id)
        assert copies.height > 1
        for task_id, name in copies.select("task_id", "annotator").iter_rows():
            desk.submit(task_id, desk.result("returns"), name)
        go_on(desk)
        says = f"{copies.height} annotators say topic 'returns'; if they are right, correct the row and run goldleaf"
        line = f"record {known.record_id} (known.jsonl:1): the known answer is topic 'delivery', but {says} curate"
        told = Terminal(tmp_path).goldleaf("annotators").stdout
        assert f"1 known answer is contradicted:\n  {line}\n" in told
        [status] = read_status(desk.context).doubted_gold
        assert str(status) == line and sorted(status.annotators) == sorted(copies["annotator"])
        shown = Terminal(tmp_path).goldleaf("status").stdout
        assert "1 known answer of gold items may be wrong: `goldleaf annotators` names it" in shown
        assert line.removeprefix("record ") in section(write_report(desk.context).read_text("utf-8"), "team")
        write_rows(tmp_path, [KNOWN[0] | {"topic": "returns"}, *KNOWN[1:]], "known.jsonl")
        desk.curate()
        assert read_status(desk.context).doubted_gold == []
        assert "contradicted" not in Terminal(tmp_path).goldleaf("annotators").stdout


def test_what_an_adjudicator_decided_is_doubted_if_others_agree_on_something_else(
    studio: FakeStudio, tmp_path: Path
) -> None:
    keys = ("overlap: 1.0", f"annotators: [{ANA}, {BEN}, {CLEO}, {DORA}]", "gold: 0.5")
    with desk_at(studio, tmp_path, OPEN, review(*keys)) as desk:
        desk.curate()
        answer(desk, 1, "first", "delivery", ANA)
        answer(desk, 1, "second", "returns", BEN)
        go_on(desk)
        answer(desk, 1, "adjudicator", "billing", CLEO)
        go_on(desk)
        assert read_status(desk.context).doubted_gold == []
        desk.submit(int(gold(desk)["task_id"][0]), desk.result("delivery"), DORA)
        go_on(desk)
        [one] = read_status(desk.context).doubted_gold
        assert (one.annotators, one.confirmed, one.by_adjudicator) == ([ANA, DORA], 1, True)
        assert str(one).endswith(
            "2 annotators say topic 'delivery', 1 confirmed it; if they are right, "
            "let the adjudicator change the answer in Label Studio and run goldleaf collect"
        )


@pytest.mark.parametrize(("topic", "doubts"), [("billing", []), ("returns", ["topic 'returns'"])])
def test_other_words_beside_the_same_choice_contradict_no_known_answer(
    tmp_path: Path, topic: str, doubts: list[str]
) -> None:
    home, file, code = home_in(tmp_path), tmp_path / "dataset.yaml", tmp_path / "task.py"
    with_words = f"from schemas.field import FreeText\n{code.read_text()}    summary: Target[FreeText[str]]\n"
    code.write_text(with_words)
    file.write_text(file.read_text().replace("name: examples", "name: s").replace("MIT}", "MIT, gold: true}"))
    home.dataset = load_dataset_file(file)
    known = {"topic": "billing", "summary": "As the expert says it."}
    item = home.asked("g", fate=Fate.ACCEPTED, routed=None, label_source=LabelSource.HUMAN, targets=known)
    home.curated(item)
    home.said_all(
        (name, {"topic": topic, "summary": f"As {name} says it."}, item, Seat(kind=SeatKind.GOLD, annotator=name))
        for name in (ANA, BEN)
    )
    assert [one.said for one in doubted_in(home.now, home.dataset)] == doubts


def test_without_gold_nothing_is_doubted(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, [row(1, "Where is my parcel?", "billing")], review()) as desk:
        desk.curate()
        assert read_status(desk.context).doubted_gold == []


# --- the report -------------------------------------------------------------------------------------
def test_the_report_names_them_to_the_team_and_a_version_to_nobody() -> None:
    doubted = team().model_copy(update={"doubted_gold": [TOY]})
    text = section(render_report(empty_report(team=doubted)), "team")
    assert (
        "Record r1 (known.jsonl:3): the known answer is topic 'billing', but 2 annotators and 1 model say "
        "topic 'returns', 1 confirmed it; if they are right, correct the row and run goldleaf curate." in text
    )
    shown = shown_team(doubted, of_version=True)
    assert shown is not None and shown.doubted_gold == []
