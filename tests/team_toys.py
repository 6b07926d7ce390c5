"""A team as a toy: what a report says of annotators, of what they confuse, of errors that remain and of suggestions."""

from datetime import date, timedelta
from typing import Any

from team import ANA, BEN, CLEO

from pipeline.evaluation.estimates import wilson
from pipeline.reporting.annotators import AnnotatorLine, AnnotatorsTable, Measured
from pipeline.reporting.confusions import Confusion, Correction
from pipeline.reporting.error_outlook import Ahead, ErrorOutlook, Found
from pipeline.reporting.field_agreement import FieldAgreement, PairAgreement
from pipeline.reporting.pace import Day, Pace
from pipeline.reporting.score_of_suggestions import Acceptance, SuggestionScore
from schemas.run_summary import Proof

NOTHING = Measured(of=0, estimate=None)


def share(right: int, of: int) -> Measured:
    return Measured(of=of, estimate=wilson(right, of))


def line(name: str, answers: int, right: int, *flags: str) -> AnnotatorLine:
    return AnnotatorLine(
        annotator=name,
        answers=answers,
        today=3,
        seconds=18.4,
        gold=share(right, 20),
        agreement=share(22, 30),
        reliability=share(40, 50),
        unusable=1,
        unsure=answers // 20,
        skips=0,
        invalid=0,
        unchanged=NOTHING,
        waiting=answers // 10,
        flags=list(flags),
    )


def pair(one: str, other: str, kappa: float | None) -> PairAgreement:
    low, high = (None, None) if kappa is None else (kappa - 0.2, min(kappa + 0.1, 1.0))
    return PairAgreement(field="kind", one=one, other=other, items=24, agreed=20, kappa=kappa, low=low, high=high)


def team(*names: str, days: int = 6) -> AnnotatorsTable:
    """Annotators, some of whom have answered the same rows."""
    names = names or (ANA, BEN, CLEO)
    flag = "accepts nearly every proposal: 98.0% of 50, the others 61.0% of 90"
    first = date(2026, 2, 20)
    agreement: dict[str, Any] = {"items": 41, "alpha": 0.79, "low": 0.64, "high": 0.92, "kappa": 0.78}
    return AnnotatorsTable(
        annotators=[line(name, 120 - 10 * at % 100, 19 - at % 8, *[flag] * (at == 2)) for at, name in enumerate(names)],
        fields=[FieldAgreement(field="kind", by_similarity=False, **agreement)],
        pairs=[pair(names[0], other, 0.58 + at % 40 / 100) for at, other in enumerate(names[1:])],
        corrections=[
            Correction(field="kind", given="term", said="renewal", rows=6, back=2),
            Correction(field="kind", given="warranty", said="", rows=2),
            Correction(field="kind", given="audit_rights", said="term", rows=1),
        ],
        confusions=[
            Confusion(field="kind", one="renewal", other="term", pairs=3),
            Confusion(field="kind", one="assignment", other="audit_rights", pairs=1),
        ],
        pace=Pace(
            answers=330,
            days=[Day(day=first + timedelta(days=2 * at), answers=80 - at % 70) for at in range(days)],
            seconds=18.4,
            open=33,
        ),
    )


def outlook() -> ErrorOutlook:
    steps = {25: (14.2, 9, 19), 50: (25.9, 17, 34), 100: (43.0, 29, 57)}
    return ErrorOutlook(
        answered=40,
        found=24,
        answers=100,
        expected=43.0,
        low=29,
        high=57,
        curve=[Found(answers=at, found=round(at * 0.6)) for at in range(1, 41)],
        ahead=[Ahead(answers=at, expected=found, low=low, high=high) for at, (found, low, high) in steps.items()],
    )


def suggestions(name: str = CLEO) -> SuggestionScore:
    return SuggestionScore(
        model="small-model",
        answers=610,
        blind=61,
        right=50,
        accuracy=wilson(50, 61),
        acceptance=[
            Acceptance(annotator=ANA, suggested=23, suggested_unchanged=17),
            Acceptance(annotator=name, suggested=100, suggested_unchanged=99),
        ],
        calls=597,
        lost=1,
        tokens=74_172,
        cost=0.0311,
    )


def at_work() -> dict[str, Any]:
    """The parts of a report about a team of three, a model, and errors that remain."""
    proof = Proof(target=0.02, looks=2, answers=180, bound=0.034, open=60, least=60, most=100)
    return {"team": team(), "outlook": outlook(), "proof": proof, "suggestions": suggestions()}
