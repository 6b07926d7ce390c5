"""Claims about the HTML report: its numbers add up, it trusts no text, loads nothing and fits every screen."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, sync_playwright
from pydantic import ValidationError
from scipy.stats import binomtest

from pipeline.report import (
    Answer,
    Audit,
    Change,
    ClassScore,
    Conflict,
    Doubt,
    DuplicatePair,
    Estimate,
    Example,
    FieldFill,
    FineTuning,
    Mistake,
    Published,
    ReasonCount,
    ReportData,
    Review,
    TokenLengths,
    ValueCount,
    masked,
    render_report,
    word_diff,
)
from schemas.fate import EXPLANATIONS, Fate, ReasonCode
from schemas.manifest import Funnel
from schemas.task import Kind

CLAUSE = "This Agreement is governed by the laws of the State of Delaware, without regard to conflict of laws rules."
DIGEST = "sha256:" + "3f" * 32
NAUGHTY = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}</details></p>\x00\x1b[31m\ud800\u202eevil`<b>`"
)
FATES = {
    "accepted": {"passed": 2251, "reviewed": 118, "unreviewed": 43},
    "review": {"label_doubt": 171, "unlabeled": 60, "conflict": 58, "secret": 12},
    "duplicate": {"near_duplicate": 187, "exact_duplicate": 63},
    "rejected": {"invalid": 44, "template_token": 31, "unreadable": 30},
}


def example(number: int = 1, text: str = CLAUSE, **more: Any) -> Example:
    return Example(record_id=f"{number:032x}", file="data/clauses.jsonl", line=number, text=text, **more)


def empty_report(**parts: object) -> ReportData:
    """A dataset that nobody has run yet, with the given parts filled."""
    nothing = Funnel(raw=0, superseded=0, withdrawn=0, accepted=0, rejected=0, duplicate=0, review=0)
    names = {"dataset": "contract-clauses", "task": "ContractClause", "instruction": "Name the kind of this clause."}
    now = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    fixed = {"kind": Kind.CLASSIFICATION, "generated_at": now, "funnel": nothing}
    return ReportData.model_validate({**names, **fixed, **parts})


def reasons(*examples: Example) -> list[ReasonCount]:
    """Reasons whose counts sum to the funnel of the full report."""
    rows = [(Fate(fate), ReasonCode(code), n) for fate, counts in FATES.items() for code, n in counts.items()]
    return [ReasonCount(fate=fate, code=code, records=n, examples=list(examples)) for fate, code, n in rows]


def review_of(after: str = "governing_law") -> Review:
    why = "uncertain: a model trained on the other rows would answer differently"
    changes = [
        Change(before="term", after="renewal", records=9, examples=[example(21, detail=why), example(22, CLAUSE * 5)]),
        Change(before="dispute_resolution", after=after, records=4, examples=[example(23, detail=why)]),
        Change(before="", after="warranty", records=2),
    ]
    counts = {"confirmed": 74, "changed": 31, "entered": 6, "unusable": 5, "unsure": 3, "skipped": 4, "waiting": 37}
    return Review(**counts, changes=changes, audit=Audit(audited=60, errors=2, population=2412))


def pair(kept: Example, dropped: Example, similarity: float = 0.9, answer: str = "term") -> DuplicatePair:
    return DuplicatePair(kept=kept, dropped=dropped, exact=similarity == 1, similarity=similarity, answer=answer)


def conflict(record: Example, *answers: str) -> Conflict:
    return Conflict(text=record.text, answers=[Answer(answer=text, records=3, example=record) for text in answers])


def tuning(classes: list[str], *mistakes: Mistake) -> FineTuning:
    return FineTuning(
        run="20260301-0930-tune",
        base_model="smollm2-135m-instruct",
        metric="accuracy",
        untuned=Estimate.wilson(3, 241),
        tuned=Estimate.wilson(209, 241),
        baselines={"TF-IDF and logistic regression": Estimate.wilson(205, 241)},
        train_rows=1930,
        test_rows=241,
        seconds=1502.4,
        verdict="The adapter beats its base model; pull it with `goldleaf pull contract-clauses@1.2.0 DEST`.",
        classes=[ClassScore(name=c, records=20 - i % 7, untuned=0.05, tuned=1 - i / 50) for i, c in enumerate(classes)],
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
        next_steps=["37 records wait for people: label them, then run `goldleaf collect dataset.yaml`"],
        reasons=reasons(example(7, detail="[clause]: as it came")),
        labels=labels,
        tokens=TokenLengths(encoding="cl100k_base", records_by_length=lengths),
        duplicates=[pair(example(1), example(2, near), 0.8), folded, pair(example(5), example(6), 1)],
        conflicts=[conflict(example(11), "governing_law", "dispute_resolution")],
        review=review_of(),
        finetuning=tuning(kinds, *[mistake] * 8),
        doubts=[
            Doubt(record=example(i, CLAUSE * 3), answer="term", suggestion="term", doubt=i / 14) for i in range(14)
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
        doubts=[Doubt(record=path, answer=long, suggestion="שלום مرحبا", doubt=1)],
    )


def extraction_report() -> ReportData:
    """One single record of an extraction task."""
    vendor = FieldFill(name="vendor", filled=1, records=1, distinct=1, top=[ValueCount(value="ACME GmbH", records=1)])
    return empty_report(
        kind=Kind.EXTRACTION,
        funnel=Funnel(raw=1, superseded=0, withdrawn=0, accepted=1, rejected=0, duplicate=0, review=0),
        fields=[vendor, FieldFill(name="purchase_order", filled=0, records=1, distinct=0)],
        tokens=TokenLengths(encoding="cl100k_base", records_by_length={57: 1}),
        review=Review(confirmed=1, changes=[Change(field="total", before="12.5", after="125", records=1)]),
    )


def page_about(record: Example, **more: object) -> str:
    """A page on which the record's text stands in every section, also as an answer."""
    text = record.text
    parts = {
        "reasons": reasons(record),
        "duplicates": [pair(record, example(text=text), answer=text), pair(example(text=text), record, 1)],
        "conflicts": [conflict(record, text)],
        "review": Review(changed=1, changes=[Change(before=text, after=text, records=1, examples=[record])]),
        "finetuning": tuning([], Mistake(record=record, expected=text, untuned=text, tuned=text)),
        "doubts": [Doubt(record=record, answer=text, suggestion=text, doubt=1)],
    }
    return render_report(empty_report(**parts, **more))


untimed = settings(deadline=None, max_examples=40)
WORDS = st.lists(st.sampled_from(["the", "a", "law"]), max_size=30)
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


@untimed
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
    "review": "Nobody has been asked yet: name a Label Studio server",
    "finetuning": "No version has been fine-tuned yet: run goldleaf finetune dataset.yaml",
    "doubts": "No accepted record is in doubt.",
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_section_says_what_would_fill_it(name: str) -> None:
    assert EMPTY[name] in section(render_report(empty_report()), name)
    assert 'class="empty"' not in render_report(full_report())


def test_sensitive_texts_are_masked_wherever_they_stand() -> None:
    text = "Write to ada@example.org or call +44 20 7946 0958, password: swordfish"
    assert masked(text) == "Write to ••• or call ••• ••• ••• ••• •••"
    secrets = [row for row in reasons(example(text=text)) if row.code is ReasonCode.SECRET]
    everywhere = page_about(example(text=text, detail=text, sensitive=True))
    for html in (everywhere, render_report(empty_report(reasons=secrets))):
        assert masked(text) in html
        assert not re.search("ada@|7946|0958|swordfish", html)


def test_every_reason_is_explained_and_says_which_record_to_ask_about() -> None:
    text = section(render_report(full_report()), "reasons")
    for row in reasons():
        assert f"{EXPLANATIONS[row.code].replace('`', '')} {row.code} {row.records:,} " in text
    assert f"data/clauses.jsonl:7 {7:032x}" in text


def test_what_is_left_out_is_said() -> None:
    html = render_report(extreme_report())
    assert "1 more duplicate is not shown." in section(html, "duplicates")
    assert "34 more answers are not shown." in section(html, "conflicts")
    assert "247 more duplicates are not shown." in section(render_report(full_report()), "duplicates")
    assert "Only 12 examples are shown." in section(render_report(full_report()), "doubts")


def test_tuned_and_untuned_stand_side_by_side_with_their_intervals() -> None:
    text = section(render_report(full_report()), "finetuning")
    assert "trained on 1,930 rows in 1,502 s, judged on 241 test rows by accuracy" in text
    assert "untuned 1.2% 0.4% to 3.6% tuned 86.7% 81.9% to 90.4% TF-IDF and logistic regression 85.1%" in text
    assert "non_compete 14 5.0% 88.0%" in text


def test_extraction_shows_how_often_each_field_has_a_value() -> None:
    text = section(render_report(extraction_report()), "labels")
    assert "vendor 1 100.0% 1 ACME GmbH \N{MULTIPLICATION SIGN} 1 purchase_order 0 0.0% 0 no value" in text


def test_reviewers_work_adds_up_and_the_audit_has_its_interval() -> None:
    text = section(render_report(full_report()), "review")
    assert "160 records shown to people, 119 answered." in text
    assert "2 of 60 randomly chosen accepted records were wrong: 3.3% 0.9% to 11.4%" in text
    assert "that is 22 to 274 of 2,412 accepted records" in text
    with pytest.raises(ValidationError, match="audited"):
        Audit(audited=0, errors=0, population=0)


@untimed
@given(st.integers(1, 10_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_interval_is_wilsons(sample: tuple[int, int]) -> None:
    ours, peer = Estimate.wilson(*sample), binomtest(*sample).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((peer.low, peer.high), abs=1e-6)


@untimed
@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=80))
def test_the_histogram_holds_every_record_once(lengths: list[int]) -> None:
    tokens = TokenLengths(encoding="e", records_by_length={n: lengths.count(n) for n in lengths})
    for bar in tokens.bins:
        assert bar.records == sum(bar.low <= length <= bar.high for length in lengths)
    assert sum(bar.records for bar in tokens.bins) == len(lengths)
    assert tokens.at(1) == max(lengths)
    assert sum(length <= tokens.at(0.5) for length in lengths) * 2 >= len(lengths)


@untimed
@given(WORDS, WORDS)
def test_a_diff_holds_both_texts(before: list[str], after: list[str]) -> None:
    pieces = word_diff(" ".join(before), " ".join(after))
    for own, words in (("del", before), ("ins", after)):
        assert " ".join(piece.text for piece in pieces if piece.tag in ("same", own)).split() == words


def test_a_diff_folds_long_equal_stretches() -> None:
    pieces = word_diff("w " * 100 + "old", "w " * 100 + "new")
    assert [piece.tag for piece in pieces] == ["same", "fold", "same", "del", "ins"]
    assert [piece.text.strip() for piece in pieces][1:] == ["76 equal words", ("w " * 12).strip(), "old", "new"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        yield chromium
        chromium.close()


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


def test_the_copy_button_gives_the_line_that_pins_the_version(browser: Browser, tmp_path: Path) -> None:
    with browser.new_context(permissions=["clipboard-read", "clipboard-write"]) as context:
        page = context.new_page()
        page.goto(written(full_report(), tmp_path))
        page.get_by_role("button", name="Copy").click()
        page.get_by_text("copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == f"contract-clauses@1.2.0 {DIGEST}"
