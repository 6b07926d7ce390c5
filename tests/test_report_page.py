"""The page of a report: its numbers add up, it trusts no text, loads nothing and says what it leaves out."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_toys import (
    CLAUSE,
    ORDER,
    REPORTS,
    Page,
    empty_report,
    example,
    extraction_report,
    extreme_report,
    full_report,
    page_about,
    reasons,
    section,
)
from verdict_toys import with_curves

from pipeline.reporting.page_environment import redacted
from pipeline.reporting.report_page import (
    AnswerInConflict,
    Conflict,
    DuplicatePair,
    ReviewCounts,
    RouteCount,
    ShownRecord,
    ValueCount,
    render_report,
)
from pipeline.text.token_lengths import TokenLengths
from schemas.fate import EXPLANATIONS, ReasonCode, Routed
from schemas.manifest import Funnel

FEWER = settings(max_examples=40)


def test_the_funnel_is_written_out_and_its_numbers_add_up() -> None:
    text = section(render_report(full_report()), "funnel").replace("\N{MINUS SIGN}", "-")
    assert "3,120 raw - 40 superseded - 12 withdrawn = 3,068 current" in text
    assert "2,412 accepted + 301 review + 250 duplicate + 105 rejected = 3,068 current" in text
    assert 3120 - 40 - 12 == 2412 + 301 + 250 + 105 == 3068
    assert "do not add up" not in text


def test_a_funnel_that_does_not_add_up_raises_a_banner() -> None:
    funnel = Funnel(raw=10, superseded=0, withdrawn=0, accepted=7, rejected=1, duplicate=0, review=0)
    text = section(render_report(empty_report(funnel=funnel)), "funnel")
    assert "These numbers do not add up: 10 records current, but 8 with a fate." in text
    assert "+ 1 rejected ≠ 10 current" in text


@pytest.mark.parametrize("name", REPORTS)
def test_the_page_loads_nothing_and_runs_only_its_own_script(name: str) -> None:
    page = Page(render_report(REPORTS[name]()))
    tags = [tag for tag, *_ in page.skeleton]
    assert all(link.startswith("#") or link == "data:," for link in page.links)
    assert tags.count("script") == 1
    assert not {"img", "iframe", "object", "base", "form"} & set(tags)
    assert not [entry for entry in page.skeleton if any(part.startswith("on") for part in entry)]


def test_an_ordinary_page_is_small() -> None:
    assert len(render_report(full_report()).encode()) < 130_000
    assert len(render_report(extreme_report()).encode()) < 400_000


def test_naughty_texts_are_shown_and_never_obeyed() -> None:
    html = render_report(extreme_report())
    assert "<script>alert" not in html
    assert "{{ 7*7 }}" in html
    assert "\N{SYMBOL FOR NULL}\N{SYMBOL FOR ESCAPE}[31m\N{REPLACEMENT CHARACTER}" in html
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\u202e\ud800-\udfff]", html)


@FEWER
@given(st.text(st.characters(), min_size=1, max_size=60).filter(lambda text: text.strip() and "`" not in text))
def test_no_text_changes_what_the_page_is_made_of(text: str) -> None:
    def skeleton(text: str) -> list[tuple[str, ...]]:
        labels = [ValueCount(value=text, records=1)]
        record = example(text=text, detail=text)
        return Page(page_about(record, dataset=text, instruction=text, next_steps=[text], labels=labels)).skeleton

    assert skeleton(text) == skeleton("harmless")


EMPTY = {
    "funnel": "No records yet: run goldleaf curate dataset.yaml",
    "reasons": "Nothing has been decided yet: run goldleaf curate dataset.yaml",
    "labels": "No accepted record has an answer yet: run goldleaf curate dataset.yaml",
    "tokens": "No accepted record has been measured yet: run goldleaf curate dataset.yaml",
    "duplicates": "No row was dropped as a duplicate.",
    "conflicts": "No input has two answers.",
    "review": "No questions were sent yet: set up a Label Studio server",
    "finetuning": "No version has been fine-tuned yet: run goldleaf finetune dataset.yaml",
    "suspects": "No accepted answer is in doubt. goldleaf curate dataset.yaml scores the labels",
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_section_says_what_would_fill_it(name: str) -> None:
    assert EMPTY[name] in section(render_report(empty_report()), name)
    assert 'class="empty"' not in render_report(full_report())


def test_sensitive_texts_are_masked_wherever_they_occur() -> None:
    text = "Write to ada@example.org or call +44 20 7946 0958, password: swordfish"
    assert redacted(text) == "Write to ••• or call ••• ••• ••• ••• •••"
    secrets = [row for row in reasons(example(text=text)) if row.code is ReasonCode.SECRET]
    everywhere = page_about(example(text=text, detail=text, sensitive=True))
    for html in (everywhere, render_report(empty_report(reasons=secrets))):
        assert redacted(text) in html
        assert not re.search("ada@|7946|0958|swordfish", html)


def test_a_withheld_row_is_a_place_and_nothing_else() -> None:
    gone = ShownRecord(file="data/clauses.jsonl", line=7, withheld=True)
    pairs = [
        DuplicatePair(kept=example(1), dropped=gone, exact=False, similarity=0.8, answer="term"),
        DuplicatePair(kept=gone, dropped=gone, exact=False, similarity=0.8, answer=""),
    ]
    other = Conflict(text="", answers=[AnswerInConflict(answer="", records=2, example=gone)])
    html = render_report(empty_report(reasons=reasons(gone), duplicates=pairs, conflicts=[other]))
    assert "valid, with no findings passed 2,251 data/clauses.jsonl:7 an annotator" in section(html, "reasons")
    text = section(html, "duplicates")
    assert f"near similarity 0.80 , answer term {CLAUSE} kept data/clauses.jsonl:1 {1:032x} dropped" in text
    assert "near similarity 0.80 kept data/clauses.jsonl:7 dropped data/clauses.jsonl:7" in text
    assert "no value" not in html
    assert "2 records, one of them: data/clauses.jsonl:7" in section(html, "conflicts")


def test_the_page_of_a_version_says_so_and_sends_no_one_to_another() -> None:
    html = render_report(empty_report(of_version=True))
    assert "Rows that are not in it are shown by file and line only." in html
    assert "the one whose folder contains this page" in html
    assert "none is published yet" not in html and "rewrites it" not in html


def test_every_reason_is_explained_and_says_which_record_to_ask_about() -> None:
    text = section(render_report(full_report()), "reasons")
    for reason in reasons():
        assert f"{EXPLANATIONS[reason.code].replace('`', '')} {reason.code} {reason.records:,} " in text
    assert f"data/clauses.jsonl:7 {7:032x}" in text


def test_what_is_left_out_is_said() -> None:
    html = render_report(extreme_report())
    assert "1 more duplicate is not shown." in section(html, "duplicates")
    assert "34 more answers are not shown." in section(html, "conflicts")
    assert "247 more duplicates are not shown." in section(render_report(full_report()), "duplicates")
    assert "Only 12 examples are shown." in section(render_report(full_report()), "suspects")


def test_all_arms_are_side_by_side_with_their_intervals_and_the_verdict() -> None:
    text = section(render_report(full_report()), "finetuning")
    assert "trained on 1,930 rows in 25.0 min, evaluated on 241 test rows by accuracy" in text
    assert "Run 20260301-0930-tune on contract-clauses@1.2.0." in text
    found = with_curves().found
    assert f"{found.judgement.verdict.heading} {found.judgement.reasons[0]}" in text
    for arm in found.ladder.arms:
        title = arm.title[:1].upper() + arm.title[1:]
        assert f"{title} {arm.score.unit.shown(arm.score.value)} {arm.score.interval}" in text
    assert "Label Rows The model of SmolLM2 Tuned" in text
    assert "non_compete 14 5.0% 88.0%" in text


def test_a_wrong_extraction_is_shown_whole_and_its_wrong_fields_are_marked() -> None:
    html = render_report(extraction_report())
    text = section(html, "finetuning")
    order = " ".join(ORDER.split())
    assert f"total 12.5 125 12.5 order {order[:100]}" in text, "expected, tuned, and the best of the others"
    assert text.count(order) == 3 + 3 + 1, "a fold holds the whole value"
    assert html.count('data-label="tuned" class="off"') == 2
    assert html.count('data-label="the model of SmolLM2" class="off"') == 1, "nothing where nothing can be read"
    assert "tuned, not in the format of the task: I was I was" in text and "I was here" in text
    assert "vendor ACME GmbH no value no value" in text


def test_extraction_shows_how_often_each_field_has_a_value() -> None:
    text = section(render_report(extraction_report()), "labels")
    assert "vendor 1 100.0% 1 ACME GmbH \N{MULTIPLICATION SIGN} 1 purchase_order 0 0.0% 0 no value" in text


def test_doubts_below_the_floor_and_settled_conflicts_are_not_passed_over() -> None:
    routes = [RouteCount(route=Routed.CONFLICT, settled=2)]
    html = render_report(empty_report(below_floor=14, review=ReviewCounts(confirmed=2, routes=routes)))
    assert "No conflict is open; annotators settled 2 records in conflict" in section(html, "conflicts")
    assert "No input has two answers" not in html and "No accepted answer is in doubt" not in html
    said = "No doubt is strong enough to ask about it: of 14 accepted answers with something against them, none reaches"
    assert f"{said} review.floor" in section(html, "suspects")


def test_reviewers_work_adds_up_and_the_audit_has_its_interval() -> None:
    text = section(render_report(full_report()), "review")
    assert "160 records chosen for annotators, 150 sent to them, 116 settled, 44 not settled yet." in text
    assert "likely wrong, or without an answer 56 of 89 random audit 60 of 71" in text
    text = section(render_report(full_report()), "errors")
    assert "2 of 60 randomly sampled accepted records were wrong, and are corrected or removed; " in text
    assert "of all accepted records an estimated 3.3% 0.9% to 11.4%" in text
    assert "that is 22 to 274 of 2,412 accepted records" in text


@FEWER
@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=80))
def test_the_histogram_holds_every_record_once(lengths: list[int]) -> None:
    tokens = TokenLengths(encoding="e", records_by_length={n: lengths.count(n) for n in lengths})
    for bar in tokens.bins:
        assert bar.records == sum(bar.low <= length <= bar.high for length in lengths)
    assert sum(bar.records for bar in tokens.bins) == len(lengths)
    assert tokens.at(1) == max(lengths)
    assert sum(length <= tokens.at(0.5) for length in lengths) * 2 >= len(lengths)


def test_the_last_bar_says_that_it_holds_the_rest_and_how_far_that_goes() -> None:
    lengths = dict.fromkeys(range(30, 60), 20) | {109: 1}
    tokens = TokenLengths(encoding="e", records_by_length=lengths)
    html = render_report(empty_report(tokens=tokens))
    assert [bar.is_rest for bar in tokens.bins] == [False] * 15 + [True]
    assert section(html, "tokens").endswith("max 109 \N{GREATER-THAN OR EQUAL TO} 60")
    assert 'title="60 or more, up to 109 tokens: 1 record"' in html
    even = TokenLengths(encoding="e", records_by_length=dict.fromkeys(range(30, 60), 20))
    assert not any(bar.is_rest for bar in even.bins)
    assert "\N{GREATER-THAN OR EQUAL TO}" not in section(render_report(empty_report(tokens=even)), "tokens")


def test_splits_are_in_the_order_of_the_configuration() -> None:
    counts = {"test": 1, "train": 5, "validation": 1, "old": 1}
    labels = [ValueCount(value="a", records=1, splits={"test": 1}), ValueCount(value="b", records=8, splits=counts)]
    html = render_report(empty_report(labels=labels, splits=["train", "validation", "test"]))
    assert "train validation test old b 8 a 1" in section(html, "labels")
