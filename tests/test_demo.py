"""The demo takes the sample of the kind of task that it is asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from fake_studio import fake_studio
from support import SAMPLES, offline, row, write_dataset, write_rows
from terminal import Terminal

from flows.cli.console import TerminalProgress
from flows.collect import collect
from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.local import demo
from flows.release import release
from flows.settings import Settings
from pipeline.config.dataset_file import load_dataset_file
from pipeline.config.workspace import Connection
from pipeline.errors import ConfigError
from pipeline.kinds.registry import KIND_NAMES, kind_of
from pipeline.kinds.starter_files import DEFAULT_STARTER
from pipeline.reporting.overview import Waiting


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_there_is_a_sample_for_every_kind(kind: str) -> None:
    assert kind_of(load_dataset_file(demo.sample_of(kind)).task).name == kind


def test_the_clauses_are_shown_if_no_kind_is_named() -> None:
    assert demo.sample_of(DEFAULT_STARTER) == SAMPLES / "clauses" / "dataset.yaml"


def test_a_kind_that_does_not_exist_is_refused_with_all_that_do(tmp_path: Path) -> None:
    result = Terminal(tmp_path).goldleaf("demo", "--kind", "poetry", exit_code=2)
    assert "poetry" in result.stderr
    assert all(kind in result.stderr for kind in KIND_NAMES)


def test_help_names_the_kinds(tmp_path: Path) -> None:
    said = Terminal(tmp_path).goldleaf("demo", "--help").stdout
    assert all(kind in said for kind in KIND_NAMES)


def test_without_the_samples_the_demo_says_where_to_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SAMPLES", tmp_path)
    with pytest.raises(ConfigError, match=r"run it in a clone of the repository$"):
        demo.sample_of("chat")


def test_the_row_to_explain_is_one_that_was_doubted(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.goldleaf("init", "new", "--kind", "chat")
    asked = {"role": "user", "content": "Is it open?"}
    another = {"role": "user", "content": "Where do I pay?"}
    answered = [asked, {"role": "assistant", "content": "Yes, until seven."}]
    write_rows(tmp_path / "new", [{"messages": one, "tools": []} for one in (answered, [another])])
    context = Context.load(tmp_path / "new" / "dataset.yaml", offline(tmp_path / "home"))
    curate(context, Inline())
    assert demo.telling_row(context) == "data.jsonl:2"


@dataclass
class _Running:
    """A Label Studio that runs already, where the demo would start one."""

    url: str
    username: str = "somebody"
    password: str = "secret"
    token: str = "token"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_second_demo_adds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verbs = {"curate": curate, "collect": collect, "release": release, "finetune": lambda *_: None}
    played = []
    with fake_studio() as studio:
        known = {"GOLDLEAF_HOME": tmp_path, "LABEL_STUDIO_URL": studio.url, "LABEL_STUDIO_API_KEY": "token"}
        for name, value in known.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setattr(demo, "LocalStudio", lambda **_: _Running(studio.url))
        for _ in range(2):
            shown: list[tuple[str, Any]] = []
            demo.demo(
                Settings(),
                "classification",
                TerminalProgress(),
                lambda context, name: verbs[name](context, Inline()),
                lambda *one, shown=shown: shown.append(one),
                print,
            )
            played.append(shown)
    first, second = played
    assert [name for name, _ in first] == [*["curate", "collect"] * 2, "curate", "release", "finetune"]
    assert [name for name, _ in second] == ["curate", "release", "finetune"]
    assert [dict(shown)["release"].created for shown in played] == [True, False]


@pytest.mark.parametrize(("skipped", "shown"), [(2, "no new question to answer"), (1, "annotators answer ━━━━━")])
def test_a_second_demo_counts_no_question_as_answered_that_was_skipped_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], skipped: int, shown: str
) -> None:
    write_dataset(tmp_path, [row(1, "Where is it?", None)])
    (tmp_path / "truth.jsonl").write_text("")
    context = Context.load(tmp_path / "dataset.yaml", offline(tmp_path / "home"))
    curate(context, Inline())
    monkeypatch.setattr(demo, "count_waiting", lambda *_: Waiting(questions=2, audits=0, unsent=0, skipped=skipped))
    answered: list[int] = []
    monkeypatch.setattr(demo, "annotate", lambda *_: answered.append(1))
    demo._simulate(context, Connection("http://127.0.0.1:9", "token"), TerminalProgress())
    assert shown in capsys.readouterr().err
    assert len(answered) == 2 - skipped
