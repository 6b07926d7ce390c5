"""What `review.error_rate` says: how much is missing, what waits, and that a version was published without proof."""

from pathlib import Path

import pytest
from desk import Desk, Row, desk_at
from fake_studio import FakeStudio
from report_toys import section
from support import row
from team import ANA, BEN, CLEO, answer, go_on, whose
from typer.testing import CliRunner

from flows.cli.main import app
from pipeline.reporting.status import read_status
from pipeline.reporting.write_report import write_report
from schemas.run_summary import Proof

TEXTS = {
    "billing": "Why was I charged {} times for order {}?",
    "delivery": "Where is parcel {} of order {}?",
    "returns": "How do I send back item {} of order {}?",
}
TOPICS = list(TEXTS)
ROWS: list[Row] = [row(n, TEXTS[TOPICS[n % 3]].format(n, 700 + 7 * n), TOPICS[n % 3]) for n in range(40)]


def said_by(desk: Desk, command: str) -> str:
    environment = {
        "GOLDLEAF_HOME": desk.settings.goldleaf_home,
        "LABEL_STUDIO_URL": desk.settings.label_studio_url,
        "LABEL_STUDIO_API_KEY": desk.settings.label_studio_api_key.get_secret_value(),
        "PREFECT_API_URL": "",
        "COLUMNS": "200",
    }
    done = CliRunner().invoke(app, [command, str(desk.folder / "dataset.yaml")], env=environment)
    assert done.exit_code == 0, done.output
    return done.output


def card(desk: Desk, name: str = "README.md") -> str:
    return next(Path(desk.settings.goldleaf_home).glob(f"*/releases/*/{name}")).read_text(encoding="utf-8")


def of_version(desk: Desk) -> str:
    return card(desk, "report.html")


def test_a_version_that_is_published_before_the_proof_says_so(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, ROWS, "review: {error_rate: 0.02}\n") as desk:
        asked = desk.curate()
        assert asked.proof is not None and asked.proof.open == asked.review.waiting == 20
        missing = (
            "n error below 2.0% is not proven yet: it takes answers to the first batch, 20 open rows that were drawn"
        )
        assert f"a{missing}" in said_by(desk, "release")
        assert f"A{missing}" in card(desk)


def test_what_was_decided_since_the_latest_release_is_to_be_released_before_it_is_trained_on(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with desk_at(studio, tmp_path, ROWS, "review: {budget: 0, audit: 0.0}\n") as desk:
        desk.curate()
        said_by(desk, "release")
        assert "goldleaf finetune" in read_status(desk.context).next_step
        desk.rows(*ROWS, row(40, "May I pay the invoice of the courier by card?", "billing"))
        desk.curate()
        step = read_status(desk.context).next_step
        assert "goldleaf release" in step and step.endswith(", since rows were decided after the latest release")
        said_by(desk, "release")
        assert "goldleaf finetune" in read_status(desk.context).next_step


def test_status_report_and_card_say_that_an_audit_is_preliminary_while_second_looks_wait(
    studio: FakeStudio, tmp_path: Path
) -> None:
    rate = f"review: {{error_rate: 0.1, annotators: [{ANA}, {BEN}, {CLEO}]}}\n"
    with desk_at(studio, tmp_path, ROWS, rate) as desk:
        desk.curate()
        numbers = [n for n in range(40) if desk.id(n) in desk.asked()]
        for number in numbers:
            wrong = TOPICS[(number + (number == numbers[0])) % 3]
            answer(desk, number, "first", wrong, whose(desk, number)["first"])
        go_on(desk)
        standing = read_status(desk.context)
        assert standing.audit is not None and standing.audit.pending == 1
        shown = said_by(desk, "status")
        assert "preliminary, since 1 answer waits for a second look or an adjudicator" in shown
        assert "1 open row that was drawn or is a likely error (it waits for a second look or an adjudicator)" in shown
        preliminary = "This is preliminary, since 1 answer waits for a second look or an adjudicator."
        page = write_report(desk.context, to=tmp_path / "page.html").read_text()
        asked = "1 question is waiting for annotators"
        assert standing.waiting_rows == 1 and asked in shown
        assert f"19 settled, 1 not settled yet. {asked}." in section(page, "review")
        assert preliminary in section(page, "errors") and "20 audited, preliminary" in page
        assert preliminary in (said_by(desk, "release") and card(desk))
        assert preliminary in section(of_version(desk), "errors")


@pytest.mark.parametrize(
    ("proof", "missing"),
    [
        (Proof(target=0.02, looks=1, answers=40, bound=0.05, open=30, least=10, most=90, later=5),
         "answers about 30 open rows that were drawn or are likely errors, and then about 10 to 90 more; besides, 5 "
         "likely errors come later"),
        (Proof(target=0.02, looks=1, answers=40, bound=0.03, open=30, most=20),
         "answers about 30 open rows that were drawn or are likely errors, and then up to 20 more"),
        (Proof(target=0.02, looks=1, answers=40, bound=0.03, open=1, again=1),
         "answers about 1 open row that was drawn or is a likely error (it waits for a second look or an adjudicator), "
         "and likely no more"),
        (Proof(target=0.02, looks=1, answers=40, bound=0.03, open=2, again=2, later=1),
         "answers about 2 open rows that were drawn or are likely errors (all of them for a second look or an "
         "adjudicator), and likely no more; besides, 1 likely error comes later"),
        (Proof(target=0.02, looks=1, answers=40, bound=0.03, most=20),
         "another curate, and then up to 20 answers"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_as_a_range(proof: Proof, missing: str) -> None:
    assert f"is not proven yet: it takes {missing}; at the last look, of 40 answers, it was known to" in str(proof)
    assert proof.more > 0 and Proof(**proof.model_dump() | {"proven": True}).more == 0
