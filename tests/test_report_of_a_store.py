"""The report of a store holds no text that it should not, and is written wholly or not at all."""

import os
from pathlib import Path
from typing import Any

import pytest
from assessed import a_record, assessed, save_assessed, share_right, weights_in
from loopback import serving
from report_toys import section
from support import current, offline, row, write_dataset
from terminal import Terminal

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from pipeline.errors import StoreError
from pipeline.reporting import write_report as reporting
from pipeline.reporting.report_data import gather_report
from pipeline.reporting.write_report import write_report
from pipeline.state.decisions import to_frame
from pipeline.state.tables import Table
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Reason, ReasonCode
from schemas.identity import stable_hash
from schemas.run_summary import CollectSummary, FinetuneSummary, Verb

# --- the report of a store ------------------------------------------------------------------------
ROWS: list[dict[str, object]] = [
    row(1, "Where is the parcel with my heron?", "delivery"),
    row(2, "Why was I charged twice for my heron?", "billing"),
    row(3, "My order of three red and two blue garden chairs has still not arrived after a very long time", "delivery"),
    row(
        4,
        "My order of three red and two blue garden chairs has still not arrived wombat after a very long time",
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
    shop.decide(10, fate=Fate.REJECTED, reasons=[Reason(code=ReasonCode.UNUSABLE)])
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


def test_no_report_names_a_key_of_a_url(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS[:3])
    rows, file = (tmp_path / "data.jsonl").read_bytes(), tmp_path / "dataset.yaml"
    with serving(lambda method, path, body: (200, {}, rows)) as server:
        url = f"{server.url}/data.jsonl?key=opensesame"
        file.write_text(file.read_text().replace("path: data.jsonl", f"path: '{url}', format: jsonl"))
        context = Context.load(file, offline(tmp_path / "home"))
        curate(context, Inline())
    report = write_report(context).read_text(encoding="utf-8")
    assert f"{server.url}/data.jsonl:1" in report and "opensesame" not in report
    version = reporting.report_for_version(context).report
    assert "http://127.0.0.1/data.jsonl:1" in section(version, "reasons")
    assert "opensesame" not in version


def section_of_next(html: str) -> str:
    """What the page says is due."""
    start = html.index("<b>Next</b>")
    return html[start : html.index("</ul>", start)]


def test_the_local_report_masks_what_an_annotator_called_unusable(shop: Shop) -> None:
    text = section(shop.state(), "reasons")
    assert "an annotator marked it unusable unusable 1 data.jsonl:10 · My neighbour Bilby of •" in text
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
    told = shop.decide(1, fate=Fate.REJECTED, reasons=[Reason(code=ReasonCode.UNUSABLE)])
    asked: list[set[str]] = []
    store, found = shop.context.store, assessed(share_right("adapter", 9, 10))
    adapter = save_assessed(weights_in(store.root / "trained"), store.models, a_record(), found)
    summary = FinetuneSummary(version="1.0.0", path=str(adapter), tuned=0.9, verdict="tune")
    store.commit(shop.context.new_run(Verb.FINETUNE), inputs={}, funnel=None, summary=summary)
    monkeypatch.setattr(
        "pipeline.reporting.report_data.shown_finetuning", lambda folder, task, known: asked.append(set(known))
    )
    shop.state()
    reporting.report_for_version(shop.context)
    assert told.record_id in asked[0] and told.record_id not in asked[1]


def test_what_an_annotator_corrected_in_a_similar_row_is_told_first_and_cites_no_other_row_in_a_version(
    shop: Shop,
) -> None:
    detail = "'billing', not 'delivery', in record 0123"
    why = [Reason(code=ReasonCode.UNREVIEWED), Reason(code=ReasonCode.CORRECTED, detail=detail)]
    shop.decide(1, fate=Fate.ACCEPTED, reasons=why, label_source=LabelSource.SOURCE)
    other = {"suggestion": {"topic": "returns"}, "label_error_score": 0.9}
    shop.decide(2, fate=Fate.ACCEPTED, reasons=why[:1], label_source=LabelSource.SOURCE, **other)
    told = "n annotator corrected the same answer to nearly the same input"
    state, version = shop.state(), shop.version()
    assert f"{told} corrected 1" in section(state, "reasons")
    suspects = section(state, "suspects")
    assert suspects.index(f"{told}: {detail}") < suspects.index("label-error score 90.0%")
    assert told in section(version, "suspects")
    assert detail not in section(version, "suspects") + section(version, "reasons")


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
