"""The keys of a team as a new dataset.yaml and the guide for leads show them: they work as they stand."""

import re
from pathlib import Path

import polars as pl
import pytest
from fake_studio import FakeStudio, fake_studio
from support import write_rows
from terminal import Terminal

from flows.context import Context
from flows.settings import Settings
from pipeline.config.dataset_file import load_dataset_file
from pipeline.config.scaffold import scaffold
from pipeline.kinds.interface import Kind
from pipeline.kinds.registry import KIND_NAMES, KINDS, kind_named
from pipeline.state.tables import Table

TEAM = ["ana@example.com", "ben@example.com", "cleo@example.com"]
KNOWN = [{"question": f"Which day will order {key}{key} come?", "topic": "delivery"} for key in range(11, 17)]


def uncommented(file: Path) -> None:
    """Every key that stands there as a comment counts, except two about the rows' ids, which these rows lack."""
    file.write_text(re.sub(r"(?m)^( *)# (?!key|mode)(?= *(- )?\w+: ?)", r"\1", file.read_text()))


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_a_new_dataset_yaml_has_the_keys_of_a_team_to_be_uncommented(tmp_path: Path, kind: Kind) -> None:
    file, *_ = scaffold(tmp_path, "toy", kind)
    uncommented(file)
    config = load_dataset_file(file).config
    assert [source.gold for source in config.sources] == [False, True]
    assert (config.review.annotators, config.review.overlap, config.review.gold) == (TEAM, 0.1, 0.05)


@pytest.mark.parametrize("of", ["a new dataset.yaml", "the guide"])
def test_the_gold_source_hides_items_among_the_tasks_of_each_annotator(tmp_path: Path, of: str) -> None:
    file, *_ = scaffold(tmp_path, "my-data", kind_named("classification"))
    if of == "the guide":
        [block] = re.findall(r"(?s)```yaml\n(.*?)```", (Path(__file__).parent.parent / "docs" / "teams.md").read_text())
        file.write_text(block)
    else:
        uncommented(file)
    write_rows(tmp_path, KNOWN, "known.jsonl")
    # One of its own: a project's questions are sent from one home.
    with fake_studio() as studio:
        hides_items(studio, tmp_path, file)


def hides_items(studio: FakeStudio, tmp_path: Path, file: Path) -> None:
    terminal = Terminal(tmp_path, studio.url, studio.token)
    shown = terminal.goldleaf("curate").stdout
    assert "hidden gold item" in shown and f"{TEAM[0]}: {studio.url}/projects/1/data?tab=" in shown
    context = Context.load(file, Settings(goldleaf_home=str(terminal.home), prefect_api_url=""))
    sent = context.store.scan(Table.PUSHES).filter(pl.col("seat").str.starts_with("gold")).collect()
    assert sent.height and set(sent["annotator"]) <= set(TEAM)
