"""Fine-tuning once more: what brings nothing new leaves nothing new, and status says what was found."""

import re
import shutil
from pathlib import Path

import pytest
from small_models import save_small_model
from support import offline, row, write_dataset
from terminal import Terminal

from flows.context import Context
from schemas.run_summary import FinetuneSummary, Verb

pytestmark = pytest.mark.usefixtures("haste")

SETTINGS = (
    "review: {{budget: 0, audit: 0.0}}\n"
    "finetune: {{base_model: model, max_rows: 8, eval_rows: 3, batch_size: 4, epochs: 1, max_length: 128}}\n"
    "arms: [majority, {{name: frontier, endpoint: '{endpoint}', model: m, examples: 1}}, adapter]\n"
)
DOWN = "http://127.0.0.1:9/v1"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A published version that was fine-tuned while the endpoint was down."""
    folder = tmp_path_factory.mktemp("shop")
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", ("billing", "returns")[n % 2]) for n in range(40)]
    write_dataset(folder, rows, SETTINGS.format(endpoint=DOWN))
    save_small_model(folder / "model")
    terminal = Terminal(folder)
    for verb in ("curate", "release", "finetune"):
        terminal.goldleaf(verb)
    return terminal


def adapters(shop: Terminal) -> set[str]:
    return {folder.name for folder in (shop.home / "questions" / "models").glob("*Z")}


def test_an_endpoint_that_is_still_down_makes_no_second_adapter(shop: Terminal) -> None:
    first = adapters(shop)
    said = shop.goldleaf("finetune").stdout
    assert "not compared: m, prompted with 1 retrieved example (http://127.0.0.1:9/v1 does not answer" in said
    assert Path(said.splitlines()[-1]).name in first and len(first) == 1
    assert adapters(shop) == first
    shop.goldleaf("finetune", "--again")
    assert len(adapters(shop)) == 2


def test_status_says_what_was_found_and_what_comes_next(shop: Terminal) -> None:
    status = shop.json("status")
    assert status["finetuned"].startswith("fine-tuned on questions@1.0.0: More data first (the adapter ")
    assert "%, the most frequent answer " in status["finetuned"]
    file = f"{shop.folder}/dataset.yaml"
    assert status["next_step"] == f"goldleaf finetune {file} to ask the arms that did not answer"

    written = (shop.folder / "dataset.yaml").read_text()
    (shop.folder / "dataset.yaml").write_text(re.sub(r"\{name: frontier.*?\}, ", "", written))
    run = Path(shop.goldleaf("finetune").stdout.splitlines()[-1])
    page = run / "verdict.html"
    shown = shop.goldleaf("status").stdout
    assert f"\nnext: read {page}; for another round, add or correct rows, then goldleaf curate {file}\n" in shown
    assert f"\n{shop.json('status')['finetuned']}\n" in shown
    report = (shop.home / "questions" / "report.html").read_text(encoding="utf-8")
    assert (
        "for another round, add or correct rows" in report and "goldleaf finetune" not in report.split("</header>")[0]
    )
    context = Context.load(shop.folder / "dataset.yaml", offline(shop.home))
    older = FinetuneSummary(version="0.9.0", path="models/older", tuned=0.5)
    context.store.commit(context.new_run(Verb.FINETUNE), inputs={}, funnel=None, summary=older)
    assert f"read {page};" in shop.json("status")["next_step"], "an older version was trained on after it"
    shutil.rmtree(run)
    gone = f"the adapter of 1.0.0 is no longer in models/{run.name}"
    assert shop.json("status")["next_step"] == f"goldleaf finetune {file}, since {gone}"


def test_a_version_without_test_rows_is_one_line_before_any_model_is_loaded(tmp_path: Path) -> None:
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", ("billing", "returns")[n % 2]) for n in range(20)]
    split = "split: {fractions: {train: 0.9, validation: 0.1}}\n"
    write_dataset(tmp_path, rows, f"review: {{budget: 0, audit: 0.0}}\n{split}")
    terminal = Terminal(tmp_path)
    for verb in ("curate", "release"):
        terminal.goldleaf(verb)
    assert terminal.error("finetune").startswith(
        "questions@1.0.0 has no 'test' split (it has: train, validation); give it a share in split.fractions, add rows,"
    )
