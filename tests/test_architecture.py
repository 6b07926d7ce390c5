"""The two laws of the code's shape: imports go one way, and each outside world is known to one place only."""

import ast
import functools
import importlib
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "pipeline", "flows")
MODULES = sorted(
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if "starters" not in path.parts
)
TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))
TRAINING = {"torch", "transformers", "peft", "trl"}


def parsed(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


@functools.cache
def imported_by(module: Path) -> frozenset[str]:
    """Top-level names of what a module imports anywhere."""
    return frozenset(imports(parsed(module)))


def imports(tree: ast.AST) -> Iterator[str]:
    """Top-level names of what is imported anywhere below a node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


def imports_at_import(tree: ast.Module) -> Iterator[str]:
    """What is imported when the module is: everything outside functions, and not for the type checker only."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(node)
        else:
            waiting.extend(ast.iter_child_nodes(node))


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


# --- one way ----------------------------------------------------------------------------------------
def test_the_import_contracts_are_kept() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout
    assert " kept, 0 broken." in done.stdout


def test_the_import_contracts_catch_what_breaks_them(tmp_path: Path) -> None:
    """Otherwise the test above would say nothing."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "schemas" / "planted.py").write_text("import polars\n", encoding="utf-8")
    (tmp_path / "pipeline" / "text" / "planted_up.py").write_text("import flows.settings\n", encoding="utf-8")
    (tmp_path / "pipeline" / "text" / "planted_out.py").write_text("import prefect\n", encoding="utf-8")
    (tmp_path / "pipeline" / "text" / "planted_above.py").write_text("import pipeline.state.store\n", encoding="utf-8")
    (tmp_path / "pipeline" / "review" / "planted_beside.py").write_text("import pipeline.ingest\n", encoding="utf-8")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout
    assert " kept, 4 broken." in done.stdout
    for line in (
        "pipeline.text.planted_up -> flows.settings",
        "pipeline.text.planted_out -> prefect",
        "pipeline.text.planted_above -> pipeline.state.store",
        "pipeline.review.planted_beside -> pipeline.ingest",
        "schemas.planted -> polars",
    ):
        assert line in done.stdout


def test_a_module_outside_of_the_rooms_breaks_the_map(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pipeline" / "no_room.py").touch()
    done = lint_imports(tmp_path)
    assert done.returncode == 1 and "- pipeline.no_room" in done.stdout, done.stdout


def test_schemas_import_only_pydantic_and_the_standard_library() -> None:
    known = {*sys.stdlib_module_names, "pydantic", "pydantic_core", "schemas"}
    for module in MODULES:
        if module.parts[0] == "schemas":
            assert imported_by(module) <= known, module


# --- rooms ------------------------------------------------------------------------------------------
@functools.cache
def across_rooms() -> frozenset[tuple[Path, str, str]]:
    """Who imports which module of which other room."""
    return frozenset(
        (module, room, name)
        for module in MODULES
        for node in ast.walk(parsed(module))
        for _, room, *inner in _imported(node)
        if (ROOT / "pipeline" / room).is_dir() and module.parts[:2] != ("pipeline", room)
        for name in inner[:1]
    )


def _imported(node: ast.AST) -> Iterator[list[str]]:
    """The modules of ``pipeline`` that an import names, as the parts of their paths."""
    names = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    yield from (name.split(".") for name in names if name.startswith("pipeline."))


def test_a_private_name_is_imported_nowhere() -> None:
    for module in (*MODULES, *TESTS):
        for node in ast.walk(parsed(module)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
                assert not [alias.name for alias in node.names if alias.name.startswith("_")], f"{module}:{node.lineno}"


def test_a_room_s_inner_modules_are_its_own() -> None:
    for module, room, name in across_rooms():
        assert name in importlib.import_module(f"pipeline.{room}").__all__, f"{module} imports {room}/{name}.py"


def test_what_a_room_shows_is_there_and_used() -> None:
    used = {(room, name) for _, room, name in across_rooms()}
    for folder in sorted((ROOT / "pipeline").iterdir()):
        if (folder / "__init__.py").exists():
            shown = importlib.import_module(f"pipeline.{folder.name}").__all__
            assert {name for room, name in used if room == folder.name} == set(shown)
            assert all((folder / f"{name}.py").exists() for name in shown)


def test_every_room_says_what_comes_in_and_what_goes_out() -> None:
    for folder in (ROOT / "pipeline").iterdir():
        if (folder / "__init__.py").exists():
            said = ast.get_docstring(parsed(folder.relative_to(ROOT) / "__init__.py")) or ""
            assert re.search(r"^In: .*[.] Out: .*[.]$", " ".join(said.split("\n")[2:])), folder


@pytest.mark.parametrize(("what", "most"), [("file", 400), ("function", 60)])
def test_nothing_is_longer_than_a_reader_can_hold(what: str, most: int) -> None:
    if what == "file":
        templates = [path for end in ("j2", "css") for path in (ROOT / "pipeline").rglob(f"*.{end}")]
        assert templates
        for module in (*MODULES, *TESTS, *templates):
            assert len((ROOT / module).read_text(encoding="utf-8").splitlines()) <= most, module
        return
    for module in MODULES:
        for node in ast.walk(parsed(module)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < most, f"{module}:{node.lineno} {node.name}"


# --- one place --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("library", "places"),
    [
        (
            "prefect",
            {
                "flows/deploy/start.py",
                "flows/engines/prefect_engine.py",
                "flows/deploy/page_log.py",
                "flows/deploy/prefect_flows.py",
                "flows/deploy/serving.py",
            },
        ),
        ("deltalake", {f"pipeline/state/{name}.py" for name in ("compaction", "store", "table_files")}),
        ("duckdb", {"pipeline/reporting/sql.py"}),
        ("babel", {"pipeline/label_errors/locale_words.py", "pipeline/label_errors/rewrite_languages.py"}),
        ("text_to_num", {"pipeline/label_errors/number_words.py"}),
        ("kanjize", {"pipeline/label_errors/number_words.py"}),
        ("label_studio_sdk", {"pipeline/review/label_studio_requests.py"}),
        (
            "yaml",
            {
                "pipeline/config/dataset_file.py",
                "pipeline/config/mistakes.py",
                "pipeline/config/plain_yaml.py",
                "pipeline/finetuning/model_sources.py",
                "pipeline/ladder/adapter_card.py",
                "pipeline/releases/dataset_card.py",
            },
        ),
        ("pydantic_settings", {"flows/settings.py"}),
    ],
)
def test_a_library_is_known_to_its_place_only(library: str, places: set[str]) -> None:
    found = {str(module) for module in MODULES if library in imported_by(module)}
    assert found
    assert found <= places


def test_training_libraries_are_imported_in_a_few_modules_and_only_when_they_run() -> None:
    """A curate must neither wait for torch nor need it installed."""
    found = {str(module) for module in MODULES if TRAINING & imported_by(module)}
    assert found <= {
        "pipeline/finetuning/attention_masks.py",
        "pipeline/finetuning/base_model.py",
        "pipeline/finetuning/closed_answers.py",
        "pipeline/finetuning/model_sources.py",
        "pipeline/finetuning/training_libraries.py",
        "pipeline/finetuning/dtypes.py",
        "pipeline/finetuning/adapted.py",
        "pipeline/finetuning/batches.py",
        "pipeline/finetuning/lora_config.py",
        "pipeline/finetuning/merge.py",
        "pipeline/finetuning/train.py",
        "pipeline/finetuning/trainer.py",
        "pipeline/finetuning/training_attention.py",
        "pipeline/finetuning/training_watch.py",
        "pipeline/finetuning/losses.py",
        "pipeline/finetuning/held_to_form.py",
        "pipeline/finetuning/predict.py",
        "pipeline/finetuning/token_tree.py",
        "pipeline/finetuning/preflight_estimates.py",
    }
    for module in MODULES:
        assert not TRAINING & set(imports_at_import(parsed(module))), module


LATE = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import trl
try:
    import torch.nn
finally:
    pass
class A:
    from peft import B
    def f(self):
        import transformers
"""


def test_the_check_for_late_imports_sees_into_blocks_and_spares_functions() -> None:
    assert set(imports_at_import(ast.parse(LATE))) == {"typing", "torch", "peft"}


def test_the_environment_is_read_in_the_settings_only() -> None:
    for module in MODULES:
        nodes = list(ast.walk(parsed(module)))
        names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        names |= {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
        if str(module) != "flows/settings.py":
            assert not names & {"environ", "getenv", "environb", "putenv"}, module


# --- names and words --------------------------------------------------------------------------------
def test_every_module_says_its_role() -> None:
    for module in MODULES:
        assert ast.get_docstring(parsed(module)), f"{module} has no docstring"


def test_no_two_modules_share_a_base_name() -> None:
    names = Counter(module.name for module in MODULES if module.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_no_module_hides_a_library() -> None:
    """``python -m flows.x`` puts nothing of ours before them, but a reader would be misled all the same."""
    assert not {module.stem for module in MODULES} & {"datasets", "prefect", "torch", "polars", "yaml", "typing"}


def test_the_packages_are_imported_without_a_heavy_library() -> None:
    """``goldleaf --help`` must be quick."""
    code = (
        "import sys, pipeline.errors\n"
        "import pipeline.config.dataset_file, pipeline.curation.triage, pipeline.review.consensus\n"
        "print(sorted({'torch', 'transformers', 'prefect', 'label_studio_sdk', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"
