"""Rows that resemble an evaluation row are rejected, and say which one it is."""

import re
from pathlib import Path

import pytest
from odd import QUESTION, Odd
from support import row, write_rows
from terminal import Terminal

from flows.engines.engine import Inline
from flows.release import release
from pipeline.errors import ConfigError, ReleaseError, SourceError
from schemas.fate import Fate, ReasonCode

EXAM = "my parcel was promised for monday and now it is friday so please tell me where it is and who has it"
LIKE = EXAM.replace("please tell", "kindly tell")
QUOTE = f"i wrote you last week that {EXAM} but nobody has answered me and i am going to call a lawyer about all this"
OTHER = "the invoice of march holds a line for gift wrapping that i did not order and would like to have refunded"
AGAINST = "decontaminate: {against: [{name: exam, path: exam.jsonl, fields: {question: text}}]}\n"


def decontaminated(folder: Path, rows: list[dict[str, object]], exam: list[dict[str, object]], more: str) -> Odd:
    odd = Odd(folder, QUESTION, rows, more)
    write_rows(folder, exam, "exam.jsonl")
    odd.curate()
    return odd


def details(odd: Odd, key: int) -> list[str]:
    return [reason.detail for reason in odd[key].reasons if reason.code is ReasonCode.CONTAMINATED]


def test_near_copies_of_an_evaluation_row_and_quotes_of_it_are_rejected_and_name_it(tmp_path: Path) -> None:
    rows = [
        row(1, EXAM.upper(), "delivery"),
        row(2, LIKE, "billing"),
        row(3, QUOTE, "delivery"),
        row(4, OTHER, "billing"),
    ]
    odd = decontaminated(tmp_path, rows, [{"text": "what is an invoice"}, {"text": EXAM}], AGAINST)
    assert [odd[key].fate for key in (1, 2, 3, 4)] == [Fate.REJECTED] * 3 + [Fate.ACCEPTED]
    assert details(odd, 1) == ["1.00 similar to exam.jsonl:2 (exam)"]
    assert details(odd, 2) == ["0.74 similar to exam.jsonl:2 (exam)"]
    words = "my parcel was promised for monday and now it is friday so please"
    shown = Terminal(tmp_path).goldleaf("explain", "data.jsonl:2").stdout
    assert f"0.74 similar to exam.jsonl:2 (exam)\n    {EXAM}\n" in shown
    assert details(odd, 3) == [f"the same 13 consecutive words ('{words}') as in exam.jsonl:2 (exam)"]


def test_explain_shows_the_evaluation_row_as_the_run_saw_it(tmp_path: Path) -> None:
    against = AGAINST.replace("{name: exam, path: exam.jsonl,", "{name: exam, path: '*exam.jsonl',")
    write_rows(tmp_path, [{"text": OTHER}], "hard-exam.jsonl")
    odd = decontaminated(tmp_path, [row(1, LIKE, "delivery"), row(2, OTHER, "billing")], [{"text": EXAM}], against)
    terminal = Terminal(tmp_path)
    write_rows(tmp_path, [{"text": f"{LIKE} now"}], "exam.jsonl")
    odd.curate()
    first, second = (decision["evaluation"] for decision in terminal.json("explain", "data.jsonl:1")["decisions"])
    assert (first, second) == (EXAM, f"{LIKE} now")
    assert terminal.json("explain", "data.jsonl:2")["decisions"][0]["evaluation"] == OTHER


def test_a_short_evaluation_row_counts_as_a_whole_and_phrases_do_not_count(tmp_path: Path) -> None:
    exam = [{"text": "How long does a refund usually take, please?"}, {"text": "Where is it?"}]
    quoted = "my colleague wants to know: how long does a refund usually take please, since she waits for one as well"
    odd = decontaminated(
        tmp_path, [row(1, quoted, "billing"), row(2, f"Where is it? {OTHER}", "billing")], exam, AGAINST
    )
    assert "the same 8 consecutive words" in details(odd, 1)[0]
    assert odd[2].fate is Fate.ACCEPTED


def test_without_overlap_only_near_copies_are_rejected(tmp_path: Path) -> None:
    more = AGAINST.replace("{against:", "{overlap: null, against:")
    odd = decontaminated(tmp_path, [row(1, QUOTE, "delivery"), row(2, LIKE, "billing")], [{"text": EXAM}], more)
    assert [odd[key].fate for key in (1, 2)] == [Fate.ACCEPTED, Fate.REJECTED]


def test_a_free_text_answer_must_not_quote_an_evaluation_row(tmp_path: Path) -> None:
    task = QUESTION.replace('Literal["billing", "delivery", "returns"]', "str")
    odd = Odd(tmp_path, task, [row(1, "what do customers write", QUOTE), row(2, "and what else", OTHER)], AGAINST)
    write_rows(tmp_path, [{"text": EXAM}], "exam.jsonl")
    odd.curate()
    assert [odd[key].fate for key in (1, 2)] == [Fate.REJECTED, Fate.ACCEPTED]


def test_every_row_in_a_dense_cluster_of_near_copies_is_found(tmp_path: Path) -> None:
    cluster = [row(number, f"{EXAM} {number}", "delivery") for number in range(1, 200)]
    odd = decontaminated(tmp_path, cluster, [], "")
    # The dense cluster is already in the index when the evaluation row comes last.
    odd.edit("review:", f"{AGAINST.replace('against', 'overlap: null, against')}review:")
    write_rows(tmp_path, [{"text": EXAM}], "exam.jsonl")
    funnel = odd.curate().funnel
    assert (funnel.rejected, funnel.current) == (199, 199)


def test_of_equally_near_evaluation_rows_the_first_is_named(tmp_path: Path) -> None:
    exam = [{"text": f"{EXAM} {word}"} for word in ("today", "tomorrow")]
    odd = decontaminated(tmp_path, [row(1, f"{EXAM} yesterday", "delivery")], exam, AGAINST)
    first = details(odd, 1)
    assert first == ["0.91 similar to exam.jsonl:1 (exam)"]
    # The index has met them the other way round.
    write_rows(tmp_path, exam[::-1], "exam.jsonl")
    odd.curate()
    assert details(odd, 1) == first


def test_an_evaluation_row_that_is_fixed_or_dropped_lets_similar_rows_in_again(tmp_path: Path) -> None:
    odd = decontaminated(tmp_path, [row(1, LIKE, "delivery")], [{"text": EXAM}], AGAINST)
    assert odd[1].fate is Fate.REJECTED
    write_rows(tmp_path, [{"text": OTHER}], "exam.jsonl")
    odd.curate()
    assert odd[1].fate is Fate.ACCEPTED


def test_a_release_of_another_dataset_evaluates_with_all_its_splits_but_train(tmp_path: Path) -> None:
    texts = [
        f"order {n} left street {n * 13} for town {n * 7} and came back on day {n * 3} of the year" for n in range(60)
    ]
    rows = [row(n, text, "delivery") for n, text in enumerate(texts)]
    other = Odd(tmp_path / "other", QUESTION, rows, home=tmp_path / "home")
    other.edit("name: questions", "name: other")
    other.curate()
    splits = release(other.context, Inline()).splits
    against = "decontaminate: {against: [{name: earlier, release: other@latest}]}\n"
    odd = Odd(tmp_path / "mine", QUESTION, rows, against, home=tmp_path / "home")
    funnel = odd.curate().funnel
    assert splits["train"] and splits["test"]
    assert funnel.rejected == splits["validation"] + splits["test"]
    assert all(
        "(earlier)" in detail and "other@1.0.0 train" not in detail
        for number in range(60)
        for detail in details(odd, number)
    )


def test_a_release_of_a_dataset_that_is_not_in_the_home_is_told_from_one_without_versions(tmp_path: Path) -> None:
    against = "decontaminate: {against: [{name: earlier, release: other@latest}]}\n"
    odd = Odd(tmp_path / "mine", QUESTION, [row(1, LIKE, "delivery")], against, home=tmp_path / "home")
    said = rf"^there is no dataset 'other' in the home {tmp_path}/home; "
    with pytest.raises(ReleaseError, match=rf"{said}it has no other dataset; set GOLDLEAF_HOME to the home that"):
        odd.curate()
    for number in range(7):
        (tmp_path / "home" / f"b{number}" / "tables").mkdir(parents=True)
    with pytest.raises(ReleaseError, match=rf"{said}name one of 'b0', 'b1', 'b2', 'b3', 'b4' and 2 more, or set"):
        odd.curate()
    (tmp_path / "home" / "other" / "tables").mkdir(parents=True)
    with pytest.raises(ReleaseError, match=r"^'other' has no published version yet; run `goldleaf release`$"):
        odd.curate()


def test_a_version_of_the_dataset_itself_is_not_an_evaluation_set(tmp_path: Path) -> None:
    against = "decontaminate: {against: [{name: earlier, release: questions@latest}]}\n"
    odd = Odd(tmp_path, QUESTION, [row(1, LIKE, "delivery")], against)
    with pytest.raises(ConfigError, match="is a version of this dataset, whose rows never leave their splits; drop it"):
        odd.curate()


@pytest.mark.parametrize(
    ("one", "message"),
    [
        ("{name: exam}", "needs a path or a release, not both"),
        ("{name: exam, path: a, release: b@1.0.0}", "needs a path or a release, not both"),
        ("{name: exam, release: b}", "'b' names no version; use name@1.0.0 or name@latest"),
        ("{name: exam, path: a, splits: [test]}", "is a file, which has no splits; drop `splits`"),
        ("{name: exam, path: a}, {name: exam, path: b}", "two evaluation sets are called 'exam'"),
    ],
)
def test_a_wrong_evaluation_set_says_what_is_wrong(tmp_path: Path, one: str, message: str) -> None:
    odd = Odd(tmp_path, QUESTION, [], f"decontaminate: {{against: [{one}]}}\n")
    with pytest.raises(ConfigError, match=message):
        odd.curate()


def test_an_evaluation_set_that_cannot_be_read_to_its_end_stops_the_run(tmp_path: Path) -> None:
    odd = Odd(tmp_path, QUESTION, [row(1, LIKE, "delivery")], AGAINST)
    (tmp_path / "exam.jsonl").write_text('{"text": "fine"}\n{"text": \n', encoding="utf-8")
    with pytest.raises(SourceError, match=r"evaluation set 'exam' cannot be read at exam.jsonl:2 .*fix it"):
        odd.curate()
    assert not odd.context.store.snapshot().runs.height


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("path: gone.jsonl", r"gone\.jsonl does not exist; correct its path"),
        ("path: 'gone/*.jsonl'", r"nothing matches .*; correct its path"),
        ("path: 's3://bucket/exam.jsonl'", "s3:// is not supported yet"),
        ("path: 'http://127.0.0.1:9/exam.jsonl'", r"http://127\.0\.0\.1:9/exam\.jsonl cannot be fetched"),
        ("path: 'http://127.0.0.1:9/exam.jsonl', auth: NO_SUCH_TOKEN", "the variable NO_SUCH_TOKEN, .* is not set"),
    ],
)
def test_an_evaluation_set_that_is_not_there_is_called_what_the_file_calls_it(
    tmp_path: Path, where: str, said: str
) -> None:
    against = f"decontaminate: {{against: [{{name: exam, {where}}}]}}\n"
    Odd(tmp_path, QUESTION, [row(1, LIKE, "delivery")], against)
    error = Terminal(tmp_path).error("curate", "--json")
    assert re.match(rf"evaluation set 'exam': .*{said}", error), error


def test_check_tries_evaluation_sets_and_changes_nothing(tmp_path: Path) -> None:
    odd = Odd(tmp_path, QUESTION, [row(1, LIKE, "delivery")], AGAINST)
    write_rows(tmp_path, [{"text": EXAM}], "exam.jsonl")
    terminal = Terminal(tmp_path)
    shown = terminal.goldleaf("check").stdout
    assert "evaluation set exam\n  1 row; rows similar to one are rejected" in shown
    write_rows(tmp_path, [], "exam.jsonl")
    assert "evaluation set 'exam' has no rows; correct it, or drop it" in terminal.goldleaf("check", exit_code=1).stdout
    assert not odd.context.store.exists


def test_check_says_that_several_inputs_count_together(tmp_path: Path) -> None:
    write_rows(tmp_path, [{"text": EXAM}], "exam.jsonl")
    for task, said in ((QUESTION, False), (QUESTION.replace("question:", "about: Input[str]\n    question:"), True)):
        Odd(tmp_path, task, [row(1, OTHER, "billing") | {"about": "it"}], AGAINST)
        found = {finding["what"]: finding["detail"] for finding in Terminal(tmp_path).json("check")}
        assert found["evaluation set exam"].endswith("; all inputs count together, so map each that it has") is said


def test_an_evaluation_set_without_the_inputs_names_the_fields_that_it_has(tmp_path: Path) -> None:
    odd = Odd(tmp_path, QUESTION, [row(1, LIKE, "delivery")], AGAINST)
    write_rows(tmp_path, [{"query": EXAM, "gold": "delivery"}], "exam.jsonl")
    with pytest.raises(
        ConfigError, match=r"none of the inputs \(text\) at exam.jsonl:1, whose fields are gold, query; map"
    ):
        odd.curate()


def test_optional_inputs_without_a_value_hide_no_copy(tmp_path: Path) -> None:
    optional = "question: Input[str]\n    language: Input[str] = 'English'\n    note: Input[str | None] = None"
    task = QUESTION.replace("question: Input[str]", optional)
    text = "Where is my order please"
    odd = Odd(tmp_path, task, [row(1, text, "delivery")], AGAINST)
    write_rows(tmp_path, [{"text": text}], "exam.jsonl")
    odd.curate()
    assert details(odd, 1) == ["1.00 similar to exam.jsonl:1 (exam)"]


def test_a_free_text_answer_must_not_quote_the_answer_of_an_evaluation_row(tmp_path: Path) -> None:
    task = QUESTION.replace('Literal["billing", "delivery", "returns"]', "str")
    against = AGAINST.replace("question: text", "question: text, topic: reply")
    rows = [row(1, "what do customers write", QUOTE), row(2, "and what else", OTHER)]
    odd = Odd(tmp_path, task, rows, against)
    write_rows(tmp_path, [{"text": "what is an invoice", "reply": OTHER}, {"text": "who", "reply": EXAM}], "exam.jsonl")
    odd.curate()
    assert "as in exam.jsonl:2 (exam)" in details(odd, 1)[0]
    assert "as in exam.jsonl:1 (exam)" in details(odd, 2)[0]


@pytest.mark.parametrize("bad", [{"query": EXAM}, {"text": ""}, {"text": None}])
def test_every_row_of_an_evaluation_set_must_have_an_input(tmp_path: Path, bad: dict[str, object]) -> None:
    odd = Odd(tmp_path, QUESTION, [row(1, LIKE, "delivery")], AGAINST)
    write_rows(tmp_path, [{"text": OTHER}, bad], "exam.jsonl")
    with pytest.raises(ConfigError, match=r"none of the inputs \(text\) at exam.jsonl:2, .* or remove the row"):
        odd.curate()
