"""Reports as toys: empty, full, extreme, and of an extraction; and what a browser makes of their pages."""

import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

from team_toys import at_work, suggestions, team
from verdict_toys import with_curves

from pipeline.evaluation.estimates import Estimate, wilson
from pipeline.kinds.interface import Breakdown
from pipeline.releases.audit_result import AuditResult
from pipeline.reporting.report_page import (
    AnswerInConflict,
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
    Rival,
    RouteCount,
    ShownRecord,
    Suspect,
    ValueCount,
    render_report,
)
from pipeline.reporting.verdict_content import verdict_content
from pipeline.text.token_lengths import TokenLengths
from schemas.fate import Fate, ReasonCode, Routed
from schemas.manifest import Funnel

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
    why = "uncertain: models trained on the other rows doubt the label"
    changes = [
        Change(before="term", after="renewal", records=9, examples=[example(21, detail=why), example(22, CLAUSE * 5)]),
        Change(before="dispute_resolution", after=after, records=4, examples=[example(23, detail=why)]),
        Change(before="", after="warranty", records=2),
    ]
    counts = {"confirmed": 74, "changed": 31, "entered": 6, "unusable": 5, "unsure": 3, "skipped": 4, "waiting": 37}
    routes = [
        RouteCount(route=Routed.UNCERTAIN, settled=56, open=33),
        RouteCount(route=Routed.AUDIT, settled=60, open=11),
    ]
    left = wilson(2, 60)
    audit = AuditResult(checked=60, wrong=2, rows=2412, rate=left.value, low=left.low, high=left.high)
    return ReviewCounts(**counts, routes=routes, sent=150, changes=changes, audit=audit)


def pair(kept: ShownRecord, dropped: ShownRecord, similarity: float = 0.9, answer: str = "term") -> DuplicatePair:
    return DuplicatePair(kept=kept, dropped=dropped, exact=similarity == 1, similarity=similarity, answer=answer)


def conflict(record: ShownRecord, *answers: str) -> Conflict:
    return Conflict(
        text=record.text, answers=[AnswerInConflict(answer=text, records=3, example=record) for text in answers]
    )


def tuning(classes: list[str], *mistakes: Mistake) -> FineTuning:
    toy = with_curves()
    before, after = Estimate(value=0.012, low=0.004, high=0.036), Estimate(value=0.867, low=0.819, high=0.904)
    return FineTuning(
        run="20260301-0930-tune",
        base_model="smollm2-135m-instruct",
        metric="accuracy",
        version="contract-clauses@1.2.0",
        tuned=after,
        rival=Rival(title="the model of SmolLM2", score=before),
        train_rows=1930,
        test_rows=241,
        seconds=1502.4,
        verdict=verdict_content(toy.record, toy.found),
        parts=[PartComparison(name=c, records=20 - i % 7, rival=0.05, tuned=1 - i / 50) for i, c in enumerate(classes)],
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
    mistake = Mistake(record=example(9), expected="term", rival="Sure!", tuned="renewal")
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
        **at_work(),
        finetuning=tuning(kinds, *[mistake] * 8),
        suspects=[
            Suspect(
                record=example(i, CLAUSE * 3, answer="term"),
                found=["A rule found something"],
                suggestion="renewal",
                label_error_score=i / 14,
                asked="not asked about",
            )
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
        team=team(*(f"{at}{NAUGHTY}{'x' * 40}@example.com" for at in range(60)), days=400),
        suggestions=suggestions(NAUGHTY * 3),
        finetuning=tuning(names),
        suspects=[Suspect(record=path.model_copy(update={"answer": long}), found=[long], suggestion="שלום مرحبا")],
    )


ORDER = "the pink slip on the second page, above the signature, " * 8
"""A value that is too long for a glance."""


def extraction_mistakes() -> list[Mistake]:
    """One wrong field, a wrong and a missing one, and an answer that cannot be read."""
    names, right = ("vendor", "total", "order"), ("ACME GmbH", "12.5", ORDER)
    answers = [(right, ("ACME GmbH", "125", ORDER)), (("", "12.5", ORDER), ("", "12.5", ORDER)), (None, None)]
    mistakes = []
    for number, (rival, tuned) in enumerate(answers):
        fields = [
            FieldAnswer(
                name=name,
                expected=right[n],
                rival=None if rival is None else rival[n],
                tuned=None if tuned is None else tuned[n],
            )
            for n, name in enumerate(names)
        ]
        texts = {"expected": json.dumps(right), "rival": "Sure! " * 90, "tuned": "I was " * 90 + "here"}
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
    record = record.model_copy(update={"answer": text, "setting": text, "head": text})
    parts = {
        "reasons": reasons(record),
        "duplicates": [pair(record, example(text=text), answer=text), pair(example(text=text), record, 1)],
        "conflicts": [conflict(record, text)],
        "review": ReviewCounts(changed=1, changes=[Change(before=text, after=text, records=1, examples=[record])]),
        "finetuning": tuning([], Mistake(record=record, expected=text, rival=text, tuned=text)),
        "suspects": [Suspect(record=record, found=[text], suggestion=text, label_error_score=1)],
    }
    return render_report(empty_report(**parts, **more))


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
    """The text of one section, its whitespace collapsed."""
    start = html.index(f'<section id="{name}"')
    return " ".join(Page(html[start : html.index("</section>", start)]).text.split())
