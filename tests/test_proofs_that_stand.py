"""What a proof and an audit rest on: the rows and questions they were about, however these change."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from desk import Desk, Row, desk_at
from fake_studio import FakeStudio
from support import row, write_rows
from team import ANA, NAMED, answer, go_on, whose
from test_silent_audits import audit_of

from pipeline.reporting.status import read_status
from schemas.annotation import Verdict
from schemas.run_summary import Proof

ALIKE: list[Row] = [row(key, f"Where is the parcel of order {key}{key}{key}?", "delivery") for key in range(1, 21)]
WORDS = ("anchor", "basil", "cedar", "dune", "ember", "fjord", "grove")
UNIQUE = "duplicates: {threshold: 1.0}\n"


@contextmanager
def desk_of(studio: FakeStudio, folder: Path, rows: list[Row], review: str) -> Iterator[Desk]:
    with desk_at(studio, folder, rows, f"review: {{{review}}}\n{UNIQUE}") as desk:
        desk.curate()
        yield desk


def proof(desk: Desk) -> Proof:
    found = read_status(desk.context).proof
    assert found is not None
    return found


def answer_all(desk: Desk, right: Callable[[str], str], but: tuple[str, ...] = ()) -> None:
    """Answer all open tasks except those about some records, each by whom it is for."""
    for task in desk.tasks():
        record = task["data"]["record_id"]
        if not task["annotations"] and record not in but:
            desk.submit(task["id"], desk.result(right(record)), task["data"].get("assigned") or ANA)
    go_on(desk)


def delivery(record: str) -> str:
    return "delivery"


# --- whose question was given back ------------------------------------------------------------------
def test_a_row_that_asks_something_else_since_it_was_skipped_is_open(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_of(studio, tmp_path, ALIKE, "error_rate: 0.02") as desk:
        desk.skip(3, "delivery")
        go_on(desk)
        rows = [*ALIKE[:2], row(3, "The blender arrived without its lid, what now?", "returns"), *ALIKE[3:]]
        desk.rows(*rows)
        desk.curate()
        answer_all(desk, delivery, but=(desk.id(3),))
        assert (proof(desk).looks, proof(desk).unheard, proof(desk).open) == (0, 0, 1)
        answer_all(desk, lambda record: "returns")
        assert (proof(desk).looks, proof(desk).proven) == (1, True)


def test_a_row_that_one_has_skipped_waits_for_the_other_one(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_of(studio, tmp_path, ALIKE, f"error_rate: 0.02, overlap: 1.0, {NAMED}") as desk:
        tasks = [task for task in desk.tasks() if task["data"]["record_id"] == desk.id(3)]
        first = next(task for task in tasks if task["data"]["seat"] == "first")
        desk.submit(first["id"], desk.result("delivery"), first["data"]["assigned"], skipped=True)
        answer_all(desk, delivery, but=(desk.id(3),))
        assert (proof(desk).looks, proof(desk).unheard, proof(desk).open) == (0, 0, 1)
        other = next(task for task in tasks if task["data"]["seat"] == "second")
        desk.submit(other["id"], desk.result("delivery"), other["data"]["assigned"])
        go_on(desk)
        assert (proof(desk).looks, proof(desk).unheard, proof(desk).proven) == (1, 0, True)


# --- what an audit counts ---------------------------------------------------------------------------
@pytest.mark.parametrize("how", [Verdict.UNSURE, Verdict.SKIPPED])
def test_audited_rows_without_a_final_answer_widen_the_interval(
    studio: FakeStudio, tmp_path: Path, how: Verdict
) -> None:
    rows = [row(n, f"Where is the parcel of order {n}{n}{n}?", "delivery" if n % 4 else "returns") for n in range(100)]
    with desk_of(studio, tmp_path, rows, "budget: 0, audit: 0.5, floor: 1.0") as desk:
        numbers = {desk.id(n): n for n in range(100)}
        asked = [numbers[task["data"]["record_id"]] for task in desk.tasks()]
        for number in asked:
            if number % 4:
                desk.label(number, "delivery")
            elif how is Verdict.UNSURE:
                desk.say(number, how)
            else:
                desk.skip(number, "delivery")
        go_on(desk)
        wrong = sum(number % 4 == 0 for number in asked)
        assert (audit_of(desk).wrong, audit_of(desk).unheard) == (0, wrong) and wrong > 5
        assert audit_of(desk).high > 0.15 and "have no final answer" in str(audit_of(desk))


def test_what_was_asked_as_a_suspect_and_drawn_later_counts_in_the_audit(studio: FakeStudio, tmp_path: Path) -> None:
    words = {"billing": "invoice charge refund money card", "delivery": "parcel courier van doorstep late"}
    draw, topics = random.Random(4), tuple(words)
    texts = [" ".join(draw.choice(words[topics[n % 2]].split()) for _ in range(5)) + f" no{n}" for n in range(200)]
    wrong = {n for n in range(200) if draw.random() < 0.15}
    rows = [row(n, text, topics[(n + (n in wrong)) % 2]) for n, text in enumerate(texts)]
    with desk_of(studio, tmp_path, rows, "budget: 200, audit: 0.0, floor: 0.05") as desk:
        numbers = {desk.id(n): n for n in range(200)}
        assert len(wrong & {numbers[task["data"]["record_id"]] for task in desk.tasks()}) > 10
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace("audit: 0.0, floor: 0.05", "audit: 0.4, floor: 1.0"))
        desk.curate()
        drawn = {numbers[task["data"]["record_id"]] for task in desk.tasks() if not task["annotations"]}
        answer_all(desk, lambda record: topics[numbers[record] % 2])
        assert (audit_of(desk).checked, audit_of(desk).wrong) == (len(drawn), len(drawn & wrong))


def test_who_answers_both_times_is_one_annotator(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_of(studio, tmp_path, ALIKE, f"error_rate: 0.02, {NAMED}") as desk:
        who = whose(desk, 1)["first"]
        answer(desk, 1, "first", "returns", who)
        answer_all(desk, delivery)
        assert "second" in whose(desk, 1)
        answer(desk, 1, "second", "returns", who)
        go_on(desk)
        assert (proof(desk).looks, proof(desk).again) == (0, 1), "nobody else has looked at it yet"


# --- what a proof is about --------------------------------------------------------------------------
def test_a_proof_falls_with_the_rows_that_it_speaks_for(studio: FakeStudio, tmp_path: Path) -> None:
    """The same errors among a fifth of the rows are five times their share."""
    draw = random.Random(3)
    texts = [" ".join(draw.choices(WORDS, k=6)) for _ in range(3000)]
    labels = ("billing", "delivery", "returns")
    rows = [row(n, f"{texts[n]} no{n}", labels[(n + (n % 25 == 0)) % 3]) for n in range(600)]
    trusted = [row(n, f"{texts[n]} no{n}", labels[n % 3]) for n in range(600, 3000)]
    with desk_at(studio, tmp_path, rows, f"review: {{error_rate: 0.02, floor: 1.0}}\n{UNIQUE}") as desk:
        numbers = {desk.id(n): n for n in range(600)}
        file = desk.folder / "dataset.yaml"
        alone = file.read_text()
        gold = "  - {name: known, path: known.jsonl, key: id, license: MIT, gold: true}\n"
        file.write_text(alone.replace("sources:\n", f"sources:\n{gold}", 1))
        write_rows(desk.folder, trusted, "known.jsonl")
        desk.curate()
        for _ in range(4):
            answer_all(desk, lambda record: labels[numbers[record] % 3])
            if proof(desk).proven:
                break
        before = proof(desk)
        assert before.proven and before.bound is not None and before.bound * 5 > 0.02
        file.write_text(alone)
        desk.curate()
        assert not proof(desk).proven
        answer_all(desk, lambda record: labels[numbers[record] % 3])
        assert proof(desk).looks > before.looks, "what is known is compared anew"


def test_looks_count_though_the_error_rate_is_taken_out_for_a_day(studio: FakeStudio, tmp_path: Path) -> None:
    rows = [row(n, f"Where is the parcel of order {n}{n}{n}?", "delivery" if n % 10 else "returns") for n in range(150)]
    with desk_of(studio, tmp_path, rows, "error_rate: 0.05, floor: 1.0") as desk:
        answer_all(desk, delivery)
        before, file = proof(desk), desk.folder / "dataset.yaml"
        assert before.looks == 1 and not before.proven
        text = file.read_text()
        for now in (text.replace("error_rate: 0.05, ", ""), text):
            file.write_text(now)
            desk.curate()
        assert (proof(desk).looks, proof(desk).bound, proof(desk).digest) == (1, before.bound, before.digest)


# --- what is the same question ----------------------------------------------------------------------
def test_another_treatment_of_whitespace_asks_nothing_again(studio: FakeStudio, tmp_path: Path) -> None:
    rows = [row(n, f"Where is the parcel of order {n}{n}{n}? \u00a0 Please!  ", None) for n in range(1, 11)]
    with desk_of(studio, tmp_path, rows, "budget: 100, audit: 0.0") as desk:
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text() + "normalize: {whitespace: keep}\n")
        review = desk.curate().review
        assert (review.sent, review.withdrawn, review.waiting) == (0, 0, 10)


def test_second_annotators_of_an_older_home_keep_their_tasks(
    studio: FakeStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows had no digest, and its scores are made anew."""
    rows = [row(n, f"Where is the parcel of order {n}{n}{n}?", "delivery" if n % 5 else "returns") for n in range(60)]
    with ExitStack() as stack:
        with monkeypatch.context() as before:
            before.setattr("pipeline.curation.prepare.content_digest", lambda *of: None)
            before.setattr("pipeline.curation.rescoring._VERSION", 1)
            review = f"budget: 20, audit: 0.2, overlap: 1.0, {NAMED}"
            desk = stack.enter_context(desk_of(studio, tmp_path, rows, review))
            for task in desk.tasks():
                if task["data"]["seat"] == "first":
                    desk.submit(task["id"], desk.result("delivery"), task["data"]["assigned"])
            go_on(desk)
        waiting = [task["id"] for task in desk.tasks() if not task["annotations"]]
        curated = desk.curate().review
        assert waiting and curated.withdrawn == 0
        assert {task["id"] for task in desk.tasks() if not task["annotations"]} >= set(waiting)
