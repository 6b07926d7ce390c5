"""Claims about the HTML report: its numbers add up, it trusts no text, loads nothing and fits every screen."""

import json
import os
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import serving
from playwright.sync_api import Browser
from pydantic import ValidationError
from scipy.stats import binomtest
from support import current, offline, row, write_dataset
from terminal import Terminal
from test_adapter import a_record

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from pipeline.errors import StoreError
from pipeline.evaluation.estimates import Estimate
from pipeline.finetuning.adapters import WEIGHTS, save_adapter
from pipeline.finetuning.evaluate import EvalQuestion, compare_models, evaluate
from pipeline.kinds.interface import Breakdown
from pipeline.reporting import write_report as reporting
from pipeline.reporting.report_data import gather_report
from pipeline.reporting.report_finetuning import latest_finetuning
from pipeline.reporting.report_page import (
    AnswerInConflict,
    Audit,
    Change,
    Conflict,
    DuplicatePair,
    FieldAnswer,
    FieldFill,
    FineTuning,
    Mistake,
    PartComparison,
    Published,
    ReasonCount,
    ReportData,
    ReviewCounts,
    ShownRecord,
    SuspectLabel,
    TokenLengths,
    ValueCount,
    redacted,
    render_report,
    word_diff,
)
from pipeline.reporting.write_report import write_report
from pipeline.state.decisions import to_frame
from pipeline.state.tables import Table
from schemas.dataset import Finetune
from schemas.decision import Decision
from schemas.fate import EXPLANATIONS, Fate, LabelSource, Reason, ReasonCode
from schemas.field import JsonValue
from schemas.identity import stable_hash
from schemas.manifest import Funnel
from schemas.run_summary import CollectSummary, Verb
from schemas.task import Input, Target, Task

CLAUSE = "This Agreement is governed by the laws of the State of Delaware, without regard to conflict of laws rules."
DIGEST = "sha256:" + "3f" * 32
NAUGHTY = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}</details></p>\x00\x1b[31m\ud800\u202eevil`<b>`"
)
FATES = {
    "accepted": {"passed": 2251, "reviewed": 118, "unreviewed": 43},
    "review": {"label_error": 171, "unlabeled": 60, "conflict": 58, "secret": 12},
    "duplicate": {"near_duplicate": 187, "exact_duplicate": 63},
    "rejected": {"invalid": 44, "template_token": 31, "unreadable": 30},
}


def example(number: int = 1, text: str = CLAUSE, **more: Any) -> ShownRecord:
    return ShownRecord(record_id=f"{number:032x}", file="data/clauses.jsonl", line=number, text=text, **more)


def empty_report(**parts: object) -> ReportData:
    """A dataset that has not been curated yet, with the given parts filled."""
    nothing = Funnel(raw=0, superseded=0, withdrawn=0, accepted=0, rejected=0, duplicate=0, review=0)
    names = {"dataset": "contract-clauses", "task": "ContractClause", "instruction": "Name the kind of this clause."}
    now = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    fixed = {"kind": "classification", "breakdown": Breakdown.LABEL, "generated_at": now, "funnel": nothing}
    return ReportData.model_validate({**names, **fixed, **parts})


def reasons(*examples: ShownRecord) -> list[ReasonCount]:
    """Reasons whose counts sum to the funnel of the full report."""
    rows = [(Fate(fate), ReasonCode(code), n) for fate, counts in FATES.items() for code, n in counts.items()]
    return [ReasonCount(fate=fate, code=code, records=n, examples=list(examples)) for fate, code, n in rows]


def review_of(after: str = "governing_law") -> ReviewCounts:
    why = "uncertain: a model trained on the other rows would answer differently"
    changes = [
        Change(before="term", after="renewal", records=9, examples=[example(21, detail=why), example(22, CLAUSE * 5)]),
        Change(before="dispute_resolution", after=after, records=4, examples=[example(23, detail=why)]),
        Change(before="", after="warranty", records=2),
    ]
    counts = {"confirmed": 74, "changed": 31, "entered": 6, "unusable": 5, "unsure": 3, "skipped": 4, "waiting": 37}
    return ReviewCounts(**counts, sent=150, changes=changes, audit=Audit(audited=60, errors=2, population=2412))


def pair(kept: ShownRecord, dropped: ShownRecord, similarity: float = 0.9, answer: str = "term") -> DuplicatePair:
    return DuplicatePair(kept=kept, dropped=dropped, exact=similarity == 1, similarity=similarity, answer=answer)


def conflict(record: ShownRecord, *answers: str) -> Conflict:
    return Conflict(
        text=record.text, answers=[AnswerInConflict(answer=text, records=3, example=record) for text in answers]
    )


def tuning(classes: list[str], *mistakes: Mistake) -> FineTuning:
    return FineTuning(
        run="20260301-0930-tune",
        base_model="smollm2-135m-instruct",
        metric="accuracy",
        version="contract-clauses@1.2.0",
        untuned=Estimate(value=0.012, low=0.004, high=0.036),
        tuned=Estimate(value=0.867, low=0.819, high=0.904),
        train_rows=1930,
        test_rows=241,
        seconds=1502.4,
        verdict="The adapter beats its base model; pull it with `goldleaf pull contract-clauses@1.2.0 DEST`.",
        parts=[
            PartComparison(name=c, records=20 - i % 7, untuned=0.05, tuned=1 - i / 50) for i, c in enumerate(classes)
        ],
        mistakes=list(mistakes),
        loss={step: 3.5 * 0.985**step + 0.1 * (step % 3) for step in range(1, 242)},
    )


def full_report() -> ReportData:
    """An ordinary dataset with everything there is to show."""
    kinds = ["governing_law", "term", "renewal", "confidentiality", "assignment", "payment_terms", "non_compete"]
    near = CLAUSE.replace("Delaware", "New York").replace("conflict of laws", "choice-of-law")
    counts = zip(kinds, [640, 540, 430, 330, 240, 160, 72], strict=True)
    labels = [ValueCount(value=k, records=n, splits={"train": n - n // 5, "validation": n // 5}) for k, n in counts]
    lengths = {i: 1 + 640 // (20 + abs(i - 60)) for i in range(18, 260)} | {1900: 2}
    folded = pair(example(3, CLAUSE * 4), example(4, CLAUSE * 3 + near))
    mistake = Mistake(record=example(9), expected="term", untuned="Sure!", tuned="renewal")
    return empty_report(
        funnel=Funnel(raw=3120, superseded=40, withdrawn=12, accepted=2412, rejected=105, duplicate=250, review=301),
        published=Published(name="contract-clauses", version="1.2.0", digest=DIGEST, splits={"train": 1930}),
        next_steps=["37 records wait for annotators: label them, then run `goldleaf collect dataset.yaml`"],
        reasons=reasons(example(7, detail="[clause]: as it came")),
        labels=labels,
        tokens=TokenLengths(encoding="cl100k_base", records_by_length=lengths),
        duplicates=[pair(example(1), example(2, near), 0.8), folded, pair(example(5), example(6), 1)],
        conflicts=[conflict(example(11), "governing_law", "dispute_resolution")],
        review=review_of(),
        finetuning=tuning(kinds, *[mistake] * 8),
        suspect_labels=[
            SuspectLabel(record=example(i, CLAUSE * 3), answer="term", suggestion="term", label_error_score=i / 14)
            for i in range(14)
        ],
    )


def extreme_report() -> ReportData:
    """Millions of records, 40 labels with names of 200 characters, and texts that mean harm."""
    names = [f"{i:02d}_" + "very_long_label_name_" * 9 + "x" * 8 for i in range(40)]
    long = NAUGHTY + "unbroken" * 20_000
    hard = example(2, long, detail=long)
    path = hard.model_copy(update={"file": "d/" * 150 + "\u202efile.jsonl", "line": 2_999_999})
    return empty_report(
        dataset=NAUGHTY,
        instruction=NAUGHTY * 3,
        next_steps=[NAUGHTY],
        funnel=Funnel(raw=3_000_000, superseded=1, withdrawn=0, accepted=2_999_990, rejected=1, duplicate=0, review=8),
        reasons=reasons(hard, path),
        labels=[ValueCount(value=name, records=0 if i > 37 else 150_000 // (i + 1)) for i, name in enumerate(names)],
        tokens=TokenLengths(encoding="cl100k_base", records_by_length={1: 2_900_000, 60: 90_000, 1_000_000: 1}),
        duplicates=[pair(hard, path, answer=names[0])] * 9,
        conflicts=[conflict(path, *names)],
        review=review_of(names[3]),
        finetuning=tuning(names),
        suspect_labels=[SuspectLabel(record=path, answer=long, suggestion="שלום مرحبا", label_error_score=1)],
    )


ORDER = "the pink slip on the second page, above the signature, " * 8
"""A value that is too long for a glance."""


def extraction_mistakes() -> list[Mistake]:
    """One wrong field, a wrong and a missing one, and an answer that cannot be read."""
    names, right = ("vendor", "total", "order"), ("ACME GmbH", "12.5", ORDER)
    answers = [(right, ("ACME GmbH", "125", ORDER)), (("", "12.5", ORDER), ("", "12.5", ORDER)), (None, None)]
    mistakes = []
    for number, (untuned, tuned) in enumerate(answers):
        fields = [
            FieldAnswer(
                name=name,
                expected=right[n],
                untuned=None if untuned is None else untuned[n],
                tuned=None if tuned is None else tuned[n],
            )
            for n, name in enumerate(names)
        ]
        texts = {"expected": json.dumps(right), "untuned": "Sure! " * 90, "tuned": "I was " * 90 + "here"}
        mistakes.append(Mistake(record=example(number), fields=fields, **texts))
    return mistakes


def extraction_report() -> ReportData:
    """One single record of an extraction task."""
    vendor = FieldFill(name="vendor", filled=1, records=1, distinct=1, top=[ValueCount(value="ACME GmbH", records=1)])
    return empty_report(
        kind="extraction",
        breakdown=Breakdown.FIELD,
        funnel=Funnel(raw=1, superseded=0, withdrawn=0, accepted=1, rejected=0, duplicate=0, review=0),
        fields=[vendor, FieldFill(name="purchase_order", filled=0, records=1, distinct=0)],
        finetuning=tuning(["vendor", "purchase_order"], *extraction_mistakes()),
        tokens=TokenLengths(encoding="cl100k_base", records_by_length={57: 1}),
        review=ReviewCounts(confirmed=1, changes=[Change(field="total", before="12.5", after="125", records=1)]),
    )


def page_about(record: ShownRecord, **more: object) -> str:
    """A page on which the record's text is in every section, even as an answer."""
    text = record.text
    parts = {
        "reasons": reasons(record),
        "duplicates": [pair(record, example(text=text), answer=text), pair(example(text=text), record, 1)],
        "conflicts": [conflict(record, text)],
        "review": ReviewCounts(changed=1, changes=[Change(before=text, after=text, records=1, examples=[record])]),
        "finetuning": tuning([], Mistake(record=record, expected=text, untuned=text, tuned=text)),
        "suspect_labels": [SuspectLabel(record=record, answer=text, suggestion=text, label_error_score=1)],
    }
    return render_report(empty_report(**parts, **more))


FEWER = settings(max_examples=40)
WORDS = st.lists(st.sampled_from(["the", "The,", "a", "law", "LAW"]), max_size=30)
REPORTS = {"full": full_report, "empty": empty_report, "extreme": extreme_report, "extraction": extraction_report}


class Page(HTMLParser):
    """What a browser would make of a page: its tags with their attributes' names, its links, its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.skeleton: list[tuple[str, ...]] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "wbr":  # where a name may break: it depends on the text, and changes nothing
            return
        self.skeleton.append((tag, *(name for name, _ in attrs)))
        self.text += " "
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]

    def handle_data(self, data: str) -> None:
        self.text += data


def section(html: str, name: str) -> str:
    """The text of one section, its white space collapsed."""
    start = html.index(f'<section id="{name}"')
    return " ".join(Page(html[start : html.index("</section>", start)]).text.split())


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
    assert len(render_report(full_report()).encode()) < 100_000
    assert len(render_report(extreme_report()).encode()) < 300_000


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
    "suspect-labels": "No accepted record is a likely label error.",
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
    assert f"near similarity 80.0% , answer term {CLAUSE} kept data/clauses.jsonl:1 {1:032x} dropped" in text
    assert "near similarity 80.0% kept data/clauses.jsonl:7 dropped data/clauses.jsonl:7" in text
    assert "no value" not in html
    assert "2 records, such as data/clauses.jsonl:7" in section(html, "conflicts")


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
    assert "Only 12 examples are shown." in section(render_report(full_report()), "suspect-labels")


def test_tuned_and_untuned_are_side_by_side_with_their_intervals() -> None:
    text = section(render_report(full_report()), "finetuning")
    assert "trained on 1,930 rows in 1,502 s, evaluated on 241 test rows by accuracy" in text
    assert "Run 20260301-0930-tune on contract-clauses@1.2.0." in text
    assert "untuned 1.2% 0.4% to 3.6% tuned 86.7% 81.9% to 90.4%" in text
    assert "non_compete 14 5.0% 88.0%" in text


def test_a_wrong_extraction_is_shown_whole_and_its_wrong_fields_are_marked() -> None:
    html = render_report(extraction_report())
    text = section(html, "finetuning")
    order = " ".join(ORDER.split())
    assert f"total 12.5 125 12.5 order {order[:100]}" in text, "expected, tuned, untuned"
    assert text.count(order) == 3 + 3 + 1, "a fold holds the whole value"
    assert html.count('data-label="tuned" class="off"') == 2
    assert html.count('data-label="untuned" class="off"') == 1, "nothing where nothing can be read"
    assert "tuned, not in the format of the task: I was I was" in text and "I was here" in text
    assert "vendor ACME GmbH no value no value" in text


def test_extraction_shows_how_often_each_field_has_a_value() -> None:
    text = section(render_report(extraction_report()), "labels")
    assert "vendor 1 100.0% 1 ACME GmbH \N{MULTIPLICATION SIGN} 1 purchase_order 0 0.0% 0 no value" in text


def test_reviewers_work_adds_up_and_the_audit_has_its_interval() -> None:
    text = section(render_report(full_report()), "review")
    assert "160 records chosen for annotators, 150 sent to them, 119 answered." in text
    assert "2 of 60 randomly sampled accepted records were wrong: 3.3% 0.9% to 11.4%" in text
    assert "that is 22 to 274 of the 2,412 accepted records that they were sampled from" in text
    with pytest.raises(ValidationError, match="audited"):
        Audit(audited=0, errors=0, population=0)


@FEWER
@given(st.integers(1, 10_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_interval_is_wilsons(sample: tuple[int, int]) -> None:
    errors, audited = sample
    ours = Audit(audited=audited, errors=errors, population=audited).remaining
    peer = binomtest(errors, audited).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((peer.low, peer.high), abs=1e-6)


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


@FEWER
@given(WORDS, WORDS)
def test_a_diff_holds_both_texts(before: list[str], after: list[str]) -> None:
    pieces = word_diff(" ".join(before), " ".join(after))
    first = [piece.text for piece in pieces if piece.tag in ("same", "form", "del")]
    second = [piece.other or piece.text for piece in pieces if piece.tag in ("same", "form", "ins")]
    assert (" ".join(first).split(), " ".join(second).split()) == (before, after)


def test_a_diff_of_a_script_without_spaces_goes_by_characters() -> None:
    pieces = word_diff("本协议受国法律管辖。", "本协议受州法律管辖。")
    assert [(piece.tag, piece.text) for piece in pieces] == [
        *(("same", "本协议受"), ("del", "国"), ("ins", "州"), ("same", "法律管辖。")),
    ]


def test_a_diff_tells_what_the_search_does_not_see_from_other_words() -> None:
    pieces = word_diff("The Café, is OPEN today", "the cafe is open - now")
    assert [(piece.tag, piece.text.strip(), piece.other.strip()) for piece in pieces] == [
        *(("form", "The Café,", "the cafe"), ("same", "is", ""), ("form", "OPEN", "open")),
        *(("del", "today", ""), ("ins", "- now", "")),
    ]


def test_a_diff_says_what_it_has_not_compared() -> None:
    assert word_diff("w " * 6_000, "w " * 6_000 + "b")[-1].text == "1,001 more words, not compared"


def test_texts_of_the_same_few_words_are_not_compared_forever() -> None:
    pieces = word_diff("a b " * 2_500, "b a c " * 2_000)
    assert (pieces[-1].tag, pieces[-1].text) == ("fold", "5,940 more words, not compared")


def test_a_word_without_end_is_compared_as_it_is() -> None:
    pieces = word_diff("a" * 2_000_000, "A" * 2_000_000)
    assert [piece.tag for piece in pieces] == ["form"]


def test_a_diff_folds_long_equal_stretches() -> None:
    pieces = word_diff("w " * 100 + "old", "w " * 100 + "new")
    assert [piece.tag for piece in pieces] == ["same", "fold", "same", "del", "ins"]
    assert [piece.text.strip() for piece in pieces][1:] == ["76 equal words", ("w " * 12).strip(), "old", "new"]


def written(data: ReportData, folder: Path) -> str:
    file = folder / "report.html"
    file.write_text(render_report(data), encoding="utf-8")
    return file.as_uri()


@pytest.mark.parametrize("width", [375, 1440])
@pytest.mark.parametrize("name", REPORTS)
def test_the_page_fits_the_screen_without_a_complaint(browser: Browser, tmp_path: Path, name: str, width: int) -> None:
    complaints: list[str] = []
    with browser.new_context(viewport={"width": width, "height": 800}) as context:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if "http" in request.url else None)
        page.goto(written(REPORTS[name](), tmp_path))
        page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []


def test_on_a_phone_values_and_changes_are_wholly_in_sight(browser: Browser, tmp_path: Path) -> None:
    values = [ValueCount(value=f"Pinto & Vaz Limitada {n}", records=3) for n in range(5)]
    filled = [FieldFill(name=f"a_long_field_{n}", filled=9, records=10, distinct=46, top=values) for n in range(4)]
    changed = [Change(field=field.name, before="FGT-8181", after="FGT-8184", records=1) for field in filled]
    parts = {"fields": filled, "review": ReviewCounts(changed=4, changes=changed)}
    with browser.new_context(viewport={"width": 390, "height": 800}) as context:
        page = context.new_page()
        page.goto(written(extraction_report().model_copy(update=parts), tmp_path))
        for table in (page.locator("#labels .scroll"), page.locator("#review .scroll")):
            assert table.evaluate("box => box.scrollWidth <= box.clientWidth"), "nothing to scroll to"
            for cell in table.locator("tbody th, tbody td").all():
                box = cell.bounding_box()
                assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390
            heights = table.locator("tbody tr").evaluate_all("rows => rows.map(row => row.offsetHeight)")
            assert len(heights) == 4 and max(heights) < 200
        assert page.locator("#review tbody tr").first.evaluate("row => row.firstElementChild.offsetHeight") < 40


def test_the_copy_button_gives_the_line_that_pins_the_version(browser: Browser, tmp_path: Path) -> None:
    with browser.new_context(permissions=["clipboard-read", "clipboard-write"]) as context:
        page = context.new_page()
        page.goto(written(full_report(), tmp_path))
        page.get_by_role("button", name="Copy").click()
        page.get_by_text("copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == f"contract-clauses@1.2.0 {DIGEST}"


# --- the report of a store ------------------------------------------------------------------------
ROWS: list[dict[str, object]] = [
    row(1, "Where is the parcel with my heron?", "delivery"),
    row(2, "Why was I charged twice for my heron?", "billing"),
    row(3, "My order of three red and two blue garden chairs has still not arrived after a very long time", "delivery"),
    row(
        4,
        "My order of three red and two blue garden chairs has still not arrived to wombat after a very long time",
        None,
    ),
    row(5, "How do I send back a quokka?", "nonsense quokka"),
    row(6, "Please write to numbat@example.org about it", "billing"),
    row(7, "Is the dingo late?", "billing"),
    row(8, "Is the dingo late?", "delivery"),
    row(9, "Has the potoroo come?", None),
    row(10, "My neighbour Bilby of Perth-7 owes me money", "billing"),
    row(11, "Do you deliver on Sundays?", "delivery"),
]
MORE = """
review: {budget: 10, audit: 0.0}
duplicates: {threshold: 0.6}
split: {fractions: {seen: 0.5, kept_back: 0.5}}
"""
PRIVATE = ("wombat", "quokka", "numbat", "dingo", "potoroo", "Bilby", "kowari")
"""A word of every row that is not accepted."""


class Shop:
    """A small dataset with every fate, in a folder whose name must stay private."""

    def __init__(self, folder: Path) -> None:
        self.folder, home = folder, folder / "set"
        home.mkdir()
        write_dataset(home, ROWS, MORE)
        data = (home / "data.jsonl").rename(folder / "data.jsonl")
        data.write_text(data.read_text() + '{"question": "kowari\n')
        file = home / "dataset.yaml"
        file.write_text(file.read_text().replace("path: data.jsonl", f"path: {data}"))
        self.context = Context.load(file, offline(folder / "home"))
        curate(self.context, Inline())

    def decide(self, key: int, **changes: Any) -> Decision:
        """What an annotator, or a later run, decided about a row."""
        run = self.context.new_run(Verb.COLLECT)
        before = current(self.context)[stable_hash("examples", f"int:{key}")]
        decision = before.model_copy(update=changes | {"run": run.id})
        self.context.store.append(Table.DECISIONS, to_frame([decision]))
        self.context.store.commit(run, inputs={}, funnel=None, summary=CollectSummary())
        return decision

    def state(self) -> str:
        """The local report."""
        return write_report(self.context).read_text(encoding="utf-8")

    def version(self) -> str:
        """The report of a version that is published now."""
        return (Path(release(self.context, Inline()).path) / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.decide(10, fate=Fate.REJECTED, reasons=[Reason(code=ReasonCode.REVIEWER)])
    return shop


def test_a_version_s_report_holds_no_text_of_a_row_that_is_not_in_the_version(shop: Shop) -> None:
    fates = {decision.fate for decision in current(shop.context).values()}
    assert fates == set(Fate)
    state, version = shop.state(), shop.version()
    assert "heron" in version and "garden chairs" in version
    for word in PRIVATE:
        assert (word in state) == (word != "numbat"), word
        assert word.lower() not in version.lower(), word
    text = section(version, "reasons")
    for line in (4, 5, 6, 9, 10, 12):
        assert f"data.jsonl:{line} " in text + " "
    for line, key in ((4, 4), (10, 10)):
        assert stable_hash("examples", f"int:{key}") not in version, f"the id of line {line} confirms a guess"
    assert "got " in section(state, "reasons") and "got " not in text, "what was wrong cites the row"


def test_a_version_s_report_names_nothing_of_this_machine(shop: Shop) -> None:
    state, version = shop.state(), shop.version()
    assert f"goldleaf curate {shop.folder}/set/dataset.yaml" in section_of_next(state)
    assert str(shop.folder) in state
    assert str(shop.folder) not in version
    assert "<b>Next</b>" not in version


def test_a_version_s_report_names_no_key_of_a_url(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS[:3])
    rows, file = (tmp_path / "data.jsonl").read_bytes(), tmp_path / "dataset.yaml"
    with serving(lambda method, path, body: (200, {}, rows)) as server:
        url = f"{server.url}/data.jsonl?key=opensesame"
        file.write_text(file.read_text().replace("path: data.jsonl", f"path: '{url}', format: jsonl"))
        context = Context.load(file, offline(tmp_path / "home"))
        curate(context, Inline())
    assert "opensesame" in write_report(context).read_text(encoding="utf-8")
    version = reporting.report_html(context)
    assert "http://127.0.0.1/data.jsonl:1" in section(version, "reasons")
    assert "opensesame" not in version


def section_of_next(html: str) -> str:
    """What the page says is due."""
    start = html.index("<b>Next</b>")
    return html[start : html.index("</ul>", start)]


def test_the_local_report_masks_what_an_annotator_called_unusable(shop: Shop) -> None:
    text = section(shop.state(), "reasons")
    assert "an annotator marked it unusable reviewer 1 data.jsonl:10 · My neighbour Bilby of •" in text
    assert "Perth-7" not in text


def test_a_row_is_masked_for_what_it_holds_whatever_its_last_reason_is(shop: Shop) -> None:
    shop.decide(6, fate=Fate.REVIEW, reasons=[Reason(code=ReasonCode.UNSURE)])
    state = shop.state()
    assert "an annotator was unsure" in section(state, "reasons")
    assert "numbat@" not in state


def test_a_row_that_left_the_version_is_not_shown_as_a_model_s_mistake(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.version()
    told = shop.decide(1, fate=Fate.REJECTED, reasons=[Reason(code=ReasonCode.REVIEWER)])
    asked: list[set[str]] = []
    monkeypatch.setattr(
        "pipeline.reporting.report_data.latest_finetuning", lambda models, task, known: asked.append(set(known))
    )
    shop.state()
    reporting.report_html(shop.context)
    assert told.record_id in asked[0] and told.record_id not in asked[1]


def test_what_an_annotator_corrected_in_a_similar_row_is_told_first_and_cites_no_other_row_in_a_version(
    shop: Shop,
) -> None:
    detail = "'billing', not 'delivery', in record 0123"
    why = [Reason(code=ReasonCode.UNREVIEWED), Reason(code=ReasonCode.CORRECTED, detail=detail)]
    shop.decide(1, fate=Fate.ACCEPTED, reasons=why, label_source=LabelSource.SOURCE)
    shop.decide(2, fate=Fate.ACCEPTED, reasons=why[:1], label_source=LabelSource.SOURCE, label_error_score=0.9)
    told = "an annotator corrected the same answer to nearly the same input"
    state, version = shop.state(), shop.version()
    assert f"{told} corrected 1" in section(state, "reasons")
    suspect_labels = section(state, "suspect-labels")
    assert suspect_labels.index(f"{told}: {detail}") < suspect_labels.index("label-error score 90.0%")
    assert told in section(version, "suspect-labels")
    assert detail not in section(version, "suspect-labels") + section(version, "reasons")


def test_splits_are_counted_in_the_order_of_the_configuration(shop: Shop) -> None:
    shop.version()
    snapshot = shop.context.store.snapshot().at_last_commit()
    data = gather_report(snapshot, shop.context.dataset, funnel=snapshot.funnel())
    assert data.splits == ["seen", "kept_back"]
    assert ["seen", "kept_back"] in [list(label.splits) for label in data.labels]


# --- the file -------------------------------------------------------------------------------------
def test_two_processes_may_write_the_report_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def meanwhile(*paths: Any) -> None:
        """Right before the first takes its place, the other writes and does so, too."""
        monkeypatch.setattr(os, "replace", replace)
        write_report(shop.context)
        replace(*paths)

    monkeypatch.setattr(os, "replace", meanwhile)
    path = write_report(shop.context)
    assert path.read_text(encoding="utf-8").endswith("</html>")
    assert not list(path.parent.glob("*.partial")) + list(path.parent.glob(".*.partial"))


def test_a_report_that_cannot_be_written_leaves_the_old_one_and_nothing_else(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    path = write_report(shop.context, to=tmp_path / "out" / "x.html")
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(
        StoreError, match=r"^the report cannot be written to .*x.html \(No space left on device\); pass"
    ):
        write_report(shop.context, to=path)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == before


def test_a_folder_is_given_a_report_and_what_is_not_a_place_for_one_is_a_line(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    terminal, file = Terminal(tmp_path), shop.context.dataset.path
    assert terminal.json("report", file, "--to", tmp_path / "out") == {"path": f"{tmp_path}/out/report.html"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]
    missing = tmp_path / "missing" / "x.html"
    line = terminal.error("report", file, "--to", missing)
    assert line == (
        f"the report cannot be written to {missing} (No such file or directory); pass another file or folder"
    )
    assert not missing.parent.exists()
    os.mkfifo(tmp_path / "pipe")
    line = terminal.error("report", file, "--to", tmp_path / "pipe")
    assert line.startswith(f"{tmp_path}/pipe is not a regular file, and a report would replace it")


# --- what a fine-tuning left ----------------------------------------------------------------------
class Slip(Task):
    """Copy the slip's details."""

    text: Input[str]
    vendor: Target[str]
    total: Target[float]
    order: Target[str | None] = None


SLIP: dict[str, JsonValue] = {"vendor": "ACME", "total": 12.5, "order": "P1"}


class Topic(Task):
    """Name the topic."""

    text: Input[str]
    topic: Target[Literal["billing", "returns"]]


def tuned_on(
    folder: Path,
    untuned: list[str],
    tuned: list[str],
    task: type[Task] = Slip,
    gold: dict[str, JsonValue] = SLIP,
) -> FineTuning:
    """What the report shows of an adapter whose test rows are all about the same slip."""
    (folder / "trained").mkdir()
    (folder / "trained" / WEIGHTS).write_bytes(b"weights")
    asked = [EvalQuestion(id=f"q{n}", prompt=(), golds=(gold,)) for n in range(len(untuned))]
    before, after = evaluate(task, asked, untuned), evaluate(task, asked, tuned)
    changes = {"untuned": before, "tuned": after, "comparison": compare_models(before, after)}
    save_adapter(
        folder / "trained",
        folder / "models",
        a_record(config=Finetune(base_model="/srv/models/tiny")).model_copy(update=changes),
    )
    shown = latest_finetuning(folder / "models", task, {f"q{n}": example(n) for n in range(len(untuned))})
    assert shown is not None
    return shown


def test_an_extraction_s_answers_are_compared_field_by_field(tmp_path: Path) -> None:
    right = json.dumps(SLIP, indent=2)
    wrong = json.dumps({"vendor": "ACME", "total": 125})
    shown = tuned_on(tmp_path, ["Sure!", "Sure!", right], [right, wrong, "I was"])
    first, second = shown.mistakes
    assert (first.record.line, second.record.line) == (1, 2), "another spelling of the right answer is no mistake"
    assert [(f.name, f.expected, f.tuned, f.untuned) for f in first.fields] == [
        ("vendor", "ACME", "ACME", None),
        ("total", "12.5", "125.0", None),
        ("order", "P1", "", None),
    ]
    assert [(f.tuned, f.untuned) for f in second.fields] == [(None, "ACME"), (None, "12.5"), (None, "P1")]
    assert (first.tuned, second.tuned) == (wrong, "I was")


def test_fields_are_shown_by_their_f1(tmp_path: Path) -> None:
    right = json.dumps(SLIP)
    shown = tuned_on(tmp_path, [right, "Sure!", "Sure!"], [right, right, "I was"])
    vendor = shown.parts[0]
    assert (vendor.name, vendor.records) == ("vendor", 3)
    assert (vendor.untuned, vendor.tuned) == (pytest.approx(0.5), pytest.approx(0.8)), "recall were 1/3 and 2/3"
    text = section(render_report(empty_report(finetuning=shown, breakdown=Breakdown.FIELD)), "finetuning")
    assert "F1 by field" in text and "vendor 3 50.0% 80.0%" in text


def test_labels_are_shown_by_their_recall(tmp_path: Path) -> None:
    shown = tuned_on(
        tmp_path, ["billing", "returns", "?"], ["billing", "billing", "returns"], Topic, {"topic": "billing"}
    )
    billing = shown.parts[0]
    assert (billing.name, billing.records) == ("billing", 3)
    assert (billing.untuned, billing.tuned) == (pytest.approx(1 / 3), pytest.approx(2 / 3)), "F1 were 0.5 and 0.8"
    text = section(render_report(empty_report(finetuning=shown)), "finetuning")
    assert "Recall by label" in text and "billing 3 33.3% 66.7%" in text


def test_unreadable_answers_of_both_models_are_named(tmp_path: Path) -> None:
    shown = tuned_on(tmp_path, ["Sure!"] * 4, ["I was", *[json.dumps(SLIP)] * 3])
    assert "4 of the untuned and 1 of the tuned model's answers do not have the format of the task." in shown.verdict


def test_a_base_model_in_a_folder_is_known_by_its_name(tmp_path: Path) -> None:
    shown = tuned_on(tmp_path, ["Sure!"], ["I was"])
    assert shown.base_model == "tiny"
