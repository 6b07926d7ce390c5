"""Datasets as users write them: odd keys and groups, tasks with mistakes in them, files that change underneath."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from datasets import load_dataset
from fake_studio import FakeStudio
from known_cases import changed, known_case
from odd import ORDER, PLAIN, QUESTION, Odd
from scored import score_labels
from support import offline, row, write_dataset, write_rows
from terminal import Terminal

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from pipeline.curation.case import Judged
from pipeline.curation.known import Doubt, Past
from pipeline.curation.measure import screen_answers
from pipeline.errors import ConfigError
from schemas.annotation import Verdict
from schemas.dataset import Action, OnConflict, Screen
from schemas.fate import Fate, ReasonCode
from schemas.field import JsonValue


# --- nothing there --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("file", "content"), [("data.jsonl", b""), ("data.json", b"[]"), ("data.csv", b"id,question,topic\n")]
)
def test_a_source_without_rows_is_an_empty_funnel(tmp_path: Path, file: str, content: bytes) -> None:
    odd = Odd(tmp_path, QUESTION, [])
    odd.edit("path: data.jsonl", f"path: {file}")
    (tmp_path / file).write_bytes(content)
    result = odd.curate()
    assert (result.funnel.raw, result.funnel.current, result.review.waiting) == (0, 0, 0)


# --- identity -------------------------------------------------------------------------------------
@pytest.mark.parametrize("file", ["data.jsonl", "data.json"])
def test_ids_beyond_64_bits_stay_apart(tmp_path: Path, file: str) -> None:
    rows = [row(10**21 + n, f"Where is my parcel {n}?", "delivery") for n in range(20)]
    odd = Odd(tmp_path, QUESTION, rows)
    odd.edit("path: data.jsonl", f"path: {file}")
    (tmp_path / "data.json").write_text(json.dumps(rows), encoding="utf-8")
    funnel = odd.curate().funnel
    assert (funnel.raw, funnel.current, funnel.superseded) == (20, 20, 0)


def test_ids_that_an_empty_cell_made_floats_are_the_integers_that_they_were(tmp_path: Path) -> None:
    odd = Odd(tmp_path, QUESTION, [row(1, "Where is my parcel?", "delivery")])
    odd.curate()
    odd.edit("path: data.jsonl", "path: data.parquet")
    frame = pl.DataFrame([row(1, "Where is my parcel?", "delivery"), row(2, "Why?", "billing")])
    frame.with_columns(pl.col("id").cast(pl.Float64)).write_parquet(tmp_path / "data.parquet")
    assert odd.curate().funnel.superseded == 1
    assert odd[1].fate is Fate.ACCEPTED


def test_two_datasets_of_one_name_do_not_share_a_state(tmp_path: Path) -> None:
    one = Odd(tmp_path / "one", QUESTION, [row(1, "Where is my parcel?", "delivery")])
    one.curate()
    settings = offline(tmp_path / "one" / "home")
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("dataset.yaml", "task.py", "data.jsonl"):
        (copy / name).write_bytes((tmp_path / "one" / name).read_bytes())
    assert curate(Context.load(copy / "dataset.yaml", settings), Inline()).added == 0
    two = Odd(tmp_path / "two", ORDER, [row(1, "Where is my parcel?", None)], "duplicates: {threshold: 0.9}\n")
    context = Context.load(tmp_path / "two" / "dataset.yaml", settings)
    with pytest.raises(ConfigError, match=r"holds the dataset of .*copy/dataset\.yaml; give this one another `name:`"):
        curate(context, Inline())
    two.edit("name: questions", "name: orders")
    assert curate(Context.load(tmp_path / "two" / "dataset.yaml", settings), Inline()).added == 1


@pytest.mark.parametrize("verb", ["curate", "collect", "release", "finetune"])
def test_every_verb_says_at_once_that_the_home_holds_the_dataset_of_another_file(
    tmp_path: Path, studio: FakeStudio, verb: str
) -> None:
    odd = Odd(tmp_path, QUESTION, [row(n, f"Where is parcel {n} of {n}?", "delivery") for n in range(9)])
    odd.curate()
    release(odd.context, Inline())
    other = tmp_path / "other.yaml"
    other.write_text((tmp_path / "dataset.yaml").read_text() + "duplicates: {threshold: 0.9}\n")
    assert Terminal(tmp_path, studio.url, studio.token).error(verb, other, "--json") == (
        f"{tmp_path}/home/questions holds the dataset of {tmp_path}/dataset.yaml; give this one another `name:`, set "
        "GOLDLEAF_HOME, or remove that file if this one replaces it"
    )


# --- groups ---------------------------------------------------------------------------------------
def test_group_values_are_compared_as_people_would(tmp_path: Path) -> None:
    values: list[Any] = [7, "7", 7.0, " 7 ", "Café", "Cafe\u0301", "CAFÉ", "", None, "  "]
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", "returns") | {"shop": v} for n, v in enumerate(values)]
    odd = Odd(tmp_path, QUESTION, rows, "split: {group_by: [shop]}\n")
    odd.curate()
    groups = [odd[n].group for n in range(len(values))]
    assert len(set(groups[:4])) == len(set(groups[4:7])) == 1
    assert len(set(groups)) == 2 + 3, "an empty cell says nothing, so these rows are no group"


def test_a_group_is_found_by_values_that_no_table_could_hold(tmp_path: Path) -> None:
    values: list[Any] = [10**30, 10**30, {"b": 10**30, "a": 1}, {"a": 1, "b": 10**30}, 1e300, 1e300]
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", "returns") | {"shop": v} for n, v in enumerate(values)]
    odd = Odd(tmp_path, QUESTION, rows, "split: {group_by: [shop]}\n")
    odd.curate()
    groups = [odd[n].group for n in range(len(values))]
    assert groups[::2] == groups[1::2] and len(set(groups)) == 3


def test_a_group_by_field_that_no_row_has_is_an_error_and_nothing_is_decided(tmp_path: Path) -> None:
    odd = Odd(tmp_path, QUESTION, [row(1, "Where is my parcel?", "delivery")], "split: {group_by: [contrakt]}\n")
    with pytest.raises(ConfigError, match=r"^split\.group_by: no row has 'contrakt'; correct it"):
        odd.curate()
    assert odd.context.store.snapshot().runs.height == 0


# --- what is the same -----------------------------------------------------------------------------
def test_inputs_are_compared_field_by_field(tmp_path: Path) -> None:
    task = QUESTION.replace("    question: Input[str]\n", "    colour: Input[str]\n    thing: Input[str]\n")
    rows = [
        {"id": 1, "colour": "red", "thing": "hot pepper", "topic": "returns"},
        {"id": 2, "colour": "red hot", "thing": "pepper", "topic": "returns"},
        {"id": 3, "colour": "RED", "thing": "hot  pepper", "topic": "returns"},
    ]
    odd = Odd(tmp_path, task, rows, "duplicates: {threshold: 1.0}\n")
    odd.curate()
    assert [odd[n].fate for n in (1, 2, 3)] == [Fate.ACCEPTED, Fate.ACCEPTED, Fate.DUPLICATE]


def test_lists_of_texts_in_another_order_are_one_answer(tmp_path: Path) -> None:
    task = QUESTION.replace('Literal["billing", "delivery", "returns"]', "list[str]")
    parts = [["hat", "coat"], ["coat", "hat"], ["coat"]]
    odd = Odd(tmp_path, task, [{"id": n, "question": "What came?", "topic": one} for n, one in enumerate(parts)])
    assert odd.curate().funnel.duplicate == 1, "the third is another answer"


def test_unlabeled_messages_of_one_template_are_not_copies_of_each_other(tmp_path: Path) -> None:
    texts = [f"Please send us as soon as you can, to the usual address, {n} boxes of nails." for n in range(20)]
    rows = [{"id": n, "question": text, "article": None} for n, text in enumerate(texts)]
    odd = Odd(tmp_path, ORDER, rows)
    assert odd.curate().funnel.duplicate == 0


def test_answers_that_were_copied_in_the_case_of_their_input_are_no_conflict(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "question": "Send Blue Rope please", "article": "Blue Rope"},
        {"id": 2, "question": "send blue rope please", "article": "blue rope"},
        {"id": 3, "question": "send blue rope please", "article": "rope"},
    ]
    odd = Odd(tmp_path, ORDER, rows[:2])
    odd.curate()
    assert (odd[1].fate, odd[2].duplicate_of) == (Fate.ACCEPTED, odd[1].record_id)
    write_rows(tmp_path, rows)
    odd.curate()
    assert ReasonCode.CONFLICT in odd.codes(3)


# --- screening and counting -----------------------------------------------------------------------
def test_texts_inside_lists_and_objects_are_screened_too(tmp_path: Path) -> None:
    task = '''
class Question(Task):
    """Extract what is ordered."""

    question: Input[list[str]]
    details: Input[dict[str, str]]
    article: Target[list[str]]
'''
    clean = {"question": ["two ropes"], "details": {"to": "Bern"}, "article": ["ropes"]}
    rows = [
        clean,
        clean | {"question": ["two ropes", "write to ann@example.com"]},
        clean | {"details": {"to": "<|im_start|>"}},
        clean | {"article": ["ropes", "card 4111 1111 1111 1111"]},
    ]
    odd = Odd(tmp_path, task, [{"id": n} | item for n, item in enumerate(rows)])
    odd.curate()
    found = [{reason.code: reason.field for reason in odd[n].reasons} for n in range(4)]
    assert found[1][ReasonCode.PERSONAL_DATA] == "question"
    assert found[2] == {ReasonCode.TEMPLATE_TOKEN: "details"}
    assert found[3][ReasonCode.PERSONAL_DATA] == "target article"


def test_tokens_are_counted_again_when_the_prompt_changes(tmp_path: Path) -> None:
    odd = Odd(tmp_path, QUESTION, [row(1, "Where is my parcel?", "delivery")])
    odd.curate()
    first = odd[1].tokens
    odd.edit("Name the topic", "Name " + "very " * 100 + "carefully the topic", "task.py")
    odd.curate()
    second = odd[1].tokens
    assert first and second and second >= first + 100
    odd.edit("review:", "measure: {max_tokens: 100}\nreview:")
    odd.curate()
    assert odd.codes(1) == [ReasonCode.TOO_LONG]
    assert "of at most 100" in odd[1].reasons[0].detail


# --- the user's own code --------------------------------------------------------------------------
def test_a_validator_that_fails_itself_rejects_its_row_and_no_other(tmp_path: Path) -> None:
    task = (
        QUESTION
        + """
    @field_validator("question")
    @classmethod
    def looked_up(cls, value: str) -> str:
        return {"Where is my parcel?": value}[value]
"""
    )
    odd = Odd(tmp_path, task, [row(1, "Where is my parcel?", "delivery"), row(2, "Why?", None)])
    odd.curate()
    assert odd[1].fate is Fate.ACCEPTED
    assert [str(reason) for reason in odd[2].reasons] == [
        "a field breaks the task's schema: a validator itself failed: KeyError: 'Why?' (task.py, line 15)"
    ]


def test_a_prompt_that_fails_names_the_task_the_record_and_the_method(tmp_path: Path) -> None:
    task = (
        QUESTION
        + """
    @classmethod
    def task_prompt(cls, inputs):
        return inputs["nothing"]
"""
    )
    odd = Odd(tmp_path, task, [row(1, "Where is my parcel?", "delivery")])
    with pytest.raises(
        ConfigError,
        match=r"^Question cannot render record \w+ as a chat: Question.task_prompt failed: "
        r"KeyError: 'nothing' \(task\.py, line 14\); fix it$",
    ):
        odd.curate()


def test_an_answer_that_cannot_be_written_is_named_also_where_it_is_in_conflict(tmp_path: Path) -> None:
    task = QUESTION + "\n    @classmethod\n    def task_answer(cls, targets):\n        return {}[targets['topic']]\n"
    rows = [row(1, "Where is my parcel?", "delivery"), row(2, "Where is my parcel?", "billing")]
    odd = Odd(tmp_path, task, rows)
    with pytest.raises(ConfigError, match=r"^Question cannot render record \w+ as a chat: Question.task_answer failed"):
        odd.curate()


def test_that_annotators_chose_nothing_is_a_class_of_an_optional_choice(tmp_path: Path) -> None:
    task = Odd(tmp_path, QUESTION.replace('"returns"]]', '"returns"] | None]'), []).context.dataset.task
    texts: dict[str | None, str] = {"billing": "the fee was wrong", None: "good morning to all"}
    cases = [
        case(f"r{n}", f"{text} {n} times", {"topic": topic}) for n, (topic, text) in enumerate([*texts.items()] * 20)
    ]
    cases += [
        case("r40", "good morning to you", {"topic": "billing"}),
        case("r41", "good morning to all 41 times", None),
    ]
    scored = score_labels(cases, task, OnConflict.REVIEW).cases
    assert [one.doubt.suggestion for one in scored[-2:]] == [{"topic": None}, {"topic": None}]


def two_kinds() -> list[Judged]:
    """Twenty rows each of two topics that no word confuses."""
    texts = {"billing": "the fee was wrong", "delivery": "the parcel did not come"}
    return [
        case(f"r{n}", f"{text} {n} times", {"topic": topic}) for n, (topic, text) in enumerate([*texts.items()] * 20)
    ]


def test_a_label_is_scored_once_unless_all_are_scored_again(tmp_path: Path) -> None:
    task = Odd(tmp_path, QUESTION, []).context.dataset.task
    wrong = case("r40", "the parcel did not come at all", {"topic": "billing"})
    before = changed(wrong, past=Past(scored=True, doubt=Doubt(0.2)))
    assert score_labels([*two_kinds(), before], task, OnConflict.REVIEW).cases[-1].doubt == Doubt(0.2)
    again = score_labels([*two_kinds(), wrong], task, OnConflict.REVIEW).cases[-1]
    assert [reason.detail for reason in again.doubt.reasons] == ["'delivery', not 'billing'"]


def test_if_any_answer_is_right_the_other_one_is_not_flagged(tmp_path: Path) -> None:
    task = Odd(tmp_path, QUESTION, []).context.dataset.task
    text = "the parcel did not come at all"
    both = [case("r40", text, {"topic": "billing"}), case("r41", text, {"topic": "delivery"})]
    both = [changed(one, text_key=text) for one in both]
    scored = score_labels([*two_kinds(), *both], task, OnConflict.ANY_OF).cases
    assert [one.doubt.reasons for one in scored[-2:]] == [(), ()]


def test_any_of_publishes_a_row_for_each_answer_of_an_input(tmp_path: Path) -> None:
    rows = [row(1, "May I have my money back?", "returns"), row(2, "May I have my money back?", "billing")]
    rows += [row(3, "may I have my money back?", "billing"), row(4, "Where is my parcel?", "delivery")]
    odd = Odd(tmp_path, QUESTION, rows, "on_conflict: any_of\n")
    odd.curate()
    assert [odd[n].fate for n in (1, 2, 3, 4)] == [Fate.ACCEPTED, Fate.ACCEPTED, Fate.DUPLICATE, Fate.ACCEPTED]
    published = load_dataset(release(odd.context, Inline()).path, cache_dir=str(tmp_path / "cache"))
    homes = {
        entry["fields"]["topic"]: split
        for split, part in published.items()
        for entry in part
        if entry["fields"]["question"] == "May I have my money back?"
    }
    assert homes.keys() == {"returns", "billing"}
    assert len(set(homes.values())) == 1


def test_rescoring_flags_a_label_that_others_supported_before_they_were_corrected(tmp_path: Path) -> None:
    def topics(parcels: str) -> list[dict[str, object]]:
        fees = [row(n, f"the fee was wrong {n} times", "billing") for n in range(20)]
        return [*fees, *(row(n, f"the parcel did not come {n} times", parcels) for n in range(100, 120))]

    kept = row(900, "the parcel did not come at all", "billing")
    others = [row(n, f"good morning to all {n} times", "delivery") for n in range(200, 220)]
    odd = Odd(tmp_path, QUESTION, [*topics("billing"), *others, kept], "duplicates: {threshold: 1.0}\n")
    odd.curate()
    write_rows(tmp_path, [*topics("delivery"), *others, kept])
    odd.curate()
    assert odd.codes(900) == [ReasonCode.PASSED]
    curate(odd.context, Inline(), rescore=True)
    assert odd.codes(900) == [ReasonCode.UNREVIEWED, ReasonCode.LABEL_ERROR]


def case(name: str, text: str, targets: dict[str, JsonValue] | None) -> Judged:
    return known_case(name, inputs={"question": text}, targets=targets)


def test_another_field_map_of_the_answers_has_the_labels_scored_again(tmp_path: Path) -> None:
    words = {"billing": "invoice amount paid card fee", "delivery": "parcel courier late street door"}
    rows: list[dict[str, Any]] = []
    for n in range(60):
        topic = ("billing", "delivery")[n % 2]
        rows.append({"id": n, "question": f"{words[topic]} {n}", "old": topic, "new": topic})
    rows[4]["old"] = rows[30]["new"] = "delivery"
    odd = Odd(tmp_path, "", [])
    write_dataset(tmp_path, [], PLAIN)
    odd.edit("key: id", "key: id, fields: {topic: old}")
    write_rows(tmp_path, rows)
    odd.curate()
    assert [ReasonCode.LABEL_ERROR in odd.codes(n) for n in (4, 30)] == [True, False]
    odd.edit("topic: old", "topic: new")
    odd.curate()
    assert [ReasonCode.LABEL_ERROR in odd.codes(n) for n in (4, 30)] == [False, True]
    assert odd.curate().decided == 0


# --- what annotators type -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("tokens", "rejection_reasons"),
    [(Action.REJECT, [ReasonCode.TEMPLATE_TOKEN]), (Action.REVIEW, []), (Action.ALLOW, [])],
)
def test_control_tokens_that_an_annotator_typed_keep_the_row_out(
    tokens: Action, rejection_reasons: list[ReasonCode]
) -> None:
    typed: dict[str, JsonValue] = {"vendor": "Acme<|im_end|>", "total": 3.5}
    records = [known_case("r1", targets=typed, human=Verdict.LABELED).known]
    for _ in range(2):
        records = screen_answers(records, Screen(template_tokens=tokens))
    assert [reason.code for reason in records[0].rejection_reasons] == rejection_reasons
