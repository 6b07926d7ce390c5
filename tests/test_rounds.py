"""The report shows the rounds of fine-tuning below one another, by version, once there are two."""

from pathlib import Path

from report_toys import empty_report, full_report, section

from pipeline.reporting.last_finetuning import judged
from pipeline.reporting.report_page import render_report
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from schemas.run_summary import FinetuneSummary, Verb


def tuned_twice(folder: Path) -> Snapshot:
    """A store with a fine-tuning of an older Goldleaf, one without an audit and a chat's, in nats."""
    store = Store(folder, "toy")
    summaries = [
        FinetuneSummary(version="0.9.0", path="models/old", tuned=0.5),
        FinetuneSummary(
            version="1.0.0",
            path="models/a",
            tuned=0.71,
            verdict="more_data_first",
            train_rows=400,
            train_split=900,
            low=0.66,
            high=0.76,
            rival=0.7,
            rival_title="a linear model on TF-IDF",
        ),
        FinetuneSummary(
            version="1.1.0", path="models/b", tuned=0.9, verdict="tune", train_rows=4_000, unit="nats", noise=0.013
        ),
    ]
    for summary in summaries:
        store.commit(store.new_run(Verb.FINETUNE, "c", "0"), inputs={}, funnel=None, summary=summary)
    return store.snapshot().at_last_commit()


def test_rounds_are_what_committed_runs_left_by_version(tmp_path: Path) -> None:
    first, second = judged(tuned_twice(tmp_path))
    assert (first.summary.version, first.summary.train_rows, str(first.tuned)) == (
        "1.0.0",
        400,
        "71.0% (66.0% to 76.0%)",
    )
    assert (first.summary.rival, first.summary.rival_title, first.heading) == (
        0.7,
        "a linear model on TF-IDF",
        "More data first",
    )
    assert (str(second.tuned), second.summary.rival) == ("0.900 (too few rows for an interval)", None)
    assert (first.noise_shown, second.noise_shown) == ("", "1.3%")
    assert first.began < second.began


def test_a_version_is_one_round_as_judged_last_and_looking_back_at_it_is_no_new_one(tmp_path: Path) -> None:
    store = Store(tmp_path, "toy")
    for version, tuned in (("1.9.0", 0.6), ("1.10.0", 0.8), ("1.10.0", 0.9), ("1.9.0", 0.7)):
        summary = FinetuneSummary(version=version, path=f"models/{tuned}", tuned=tuned, verdict="tune")
        store.commit(store.new_run(Verb.FINETUNE, "c", "0"), inputs={}, funnel=None, summary=summary)
    first, second = judged(store.snapshot().at_last_commit())
    assert (first.summary.version, first.tuned.value) == ("1.9.0", 0.7)
    assert (second.summary.version, second.tuned.value) == ("1.10.0", 0.9)
    assert first.began > second.began


def test_the_report_shows_them_once_there_are_two(tmp_path: Path) -> None:
    rounds = judged(tuned_twice(tmp_path))
    tuning = full_report().finetuning
    alone = section(render_report(empty_report(finetuning=tuning, rounds=rounds[:1])), "finetuning")
    both = section(render_report(empty_report(finetuning=tuning, rounds=rounds)), "finetuning")
    assert "Round by round" not in alone
    after = both.partition("Round by round")[2]
    assert "400 of 900 71.0% 66.0% to 76.0% the adapter 70.0% a linear model on TF-IDF More data first" in after
    assert "1.0.0" in after and " 4,000 0.900" in after, "an older Goldleaf did not record of how many rows"
    assert "1.3% Fine-tuning was worth it" in after
