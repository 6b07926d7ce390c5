"""The verdict on eight datasets whose right answer is known (tests/verdict_cases.py), with models that really learn.

python tests/benchmarks/verdicts.py [CASE ...]    about an hour for all eight on 2 cores
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from tables import Results

sys.path.insert(0, str(Path(__file__).parents[1]))
from loopback import Reply
from model_server import completion, last_user_text, model_server
from verdict_cases import CASES, TOPICS, Case, Note, Row

from flows.cli.console import TerminalProgress
from flows.settings import prepare_training
from pipeline.ladder.assessment import Assessment, read_assessment
from pipeline.ladder.endpoints import Access
from pipeline.ladder.experiment import finetune_version
from pipeline.ladder.plan import TEST, TRAIN, Plan, code_of
from pipeline.releases.dataset_card import VersionFacts
from pipeline.releases.publish import ReleaseInputs, publish
from pipeline.releases.published_rows import PublishedRow, rows_table
from pipeline.reporting.verdict_page import verdict_page
from schemas.arms_section import DEFAULT_ARMS, EndpointArm
from schemas.dataset import Dataset, Measure
from schemas.finetune_section import Finetune
from schemas.manifest import Funnel

_EPOCHS = {"enough data": 2.0}
"""Elsewhere one: more would only take longer."""
_FRONTIER = "frontier"
_HELP = """\
The rows are those of tests/verdict_cases.py, published as they are: curation would have taken out what some of the
cases are about. The base model, its adapter and the classical arms learn and answer; a frontier model is stood in for
by an endpoint on this machine that gives the case's share of right answers, since there is no such model here.
"""


@dataclass(frozen=True)
class Judged:
    """What came out for a case."""

    case: Case
    found: Assessment

    @property
    def is_right(self) -> bool:
        """For the right reason, too."""
        judgement = self.found.judgement
        return (judgement.verdict, judgement.rule) == (self.case.verdict, self.case.rule)


def published(case: Case, releases: Path) -> Path:
    """A version of the case's rows."""
    tables = {
        split: rows_table(Note, [_row(row, f"{split}-{number}") for number, row in enumerate(rows)])
        for split, rows in ((TRAIN, case.train), (TEST, case.test))
    }
    count = len(case.train) + len(case.test)
    release = ReleaseInputs(
        dataset=Dataset.model_validate(
            {"name": "notes", "task": "notes.py:Note", "sources": [{"name": "notes", "path": "notes.jsonl"}]}
        ),
        task=Note,
        run="verdicts",
        goldleaf="0",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        facts=VersionFacts(
            funnel=Funnel(raw=count, superseded=0, withdrawn=0, accepted=count, rejected=0, duplicate=0, review=0),
            inputs={},
        ),
    )
    folder = releases / "1.0.0"
    if not folder.exists():
        publish(folder, tables, release)
    return folder


def _row(row: Row, name: str) -> PublishedRow:
    return PublishedRow(name, {"text": row.text}, {"topic": row.topic}, "notes", "CC0-1.0", "source", name, 30)


def judged(case: Case, place: Path) -> Judged:
    """Train, compare and judge."""
    work = place / "work"
    work.mkdir(parents=True, exist_ok=True)
    with model_server(partial(_frontier_says, _lucky(case))) as server:
        endpoint = EndpointArm(name=_FRONTIER, endpoint=server.endpoint, model="stand-in", examples=0)
        plan = Plan(
            version=published(case, place / "releases"),
            task=Note,
            code=code_of(Note),
            config=Finetune(epochs=_EPOCHS.get(case.name, 1.0), evaluate=0),
            arms=(*DEFAULT_ARMS, *([endpoint] if case.frontier else [])),
            limits=case.limits,
            run=f"{datetime.now(UTC):%Y%m%d-%H%M%S}",
            goldleaf="0",
            work=work,
            models=place / "models",
            access=Access({endpoint.api_key_env: ""}, place / "calls", case.prices, Measure().encoding),
            noise=case.noise,
        )
        prepare_training()
        return Judged(case, read_assessment(finetune_version(plan, TerminalProgress(), verdict_page)))


def _lucky(case: Case) -> dict[str, str]:
    """What the stand-in says to each text of the test split."""
    right = set(random.Random(_FRONTIER).sample(range(len(case.test)), round((case.frontier or 0) * len(case.test))))
    return {
        row.text: row.topic if number in right else TOPICS[TOPICS.index(row.topic) - 1]
        for number, row in enumerate(case.test)
    }


def _frontier_says(answers: dict[str, str], request: dict[str, Any], number: int) -> Reply:
    asked = last_user_text(request)
    return completion(next(answer for text, answer in answers.items() if text in asked))


def shown(all_judged: Sequence[Judged]) -> Results:
    """A line for each case."""
    rows = []
    for one in all_judged:
        ladder, judgement = one.found.ladder, one.found.judgement
        scores = ", ".join(f"{arm.name} {100 * arm.score.value:.1f}" for arm in ladder.arms)
        expected = "as expected" if one.is_right else f"expected {one.case.verdict.heading} ({one.case.rule})"
        rows.append((one.case.name, f"{judgement.verdict.heading} ({judgement.rule})", expected, scores))
    right = sum(one.is_right for one in all_judged)
    return Results(
        f"{right} of {len(all_judged)} verdicts are right, each for the right reason",
        ("case", "verdict (rule)", "", "arms, % of right answers"),
        rows,
    )


def main() -> None:
    """Judge the cases one after another, and show the table."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [case.name for case in CASES]
    parser.add_argument("case", nargs="*", metavar="CASE", help=f"of {', '.join(map(repr, names))} (default: all)")
    parser.add_argument("--work", type=Path, help="a folder that is kept, or that of a killed run")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table as Markdown")
    options = parser.parse_args()
    if unknown := set(options.case) - set(names):
        parser.error(f"there is no case {sorted(unknown)[0]!r}")
    chosen = [case for case in CASES if case.name in (options.case or names)]
    with tempfile.TemporaryDirectory() as scratch:
        place = options.work or Path(scratch)
        found = [judged(case, place / case.name.replace(" ", "-")) for case in chosen]
    results = shown(found)
    results.show(Console(width=max(Console().width, 140)))
    if options.markdown:
        options.markdown.write_text(results.markdown(), encoding="utf-8")
    sys.exit(not all(one.is_right for one in found))


if __name__ == "__main__":
    main()
