"""Guidelines of a dataset are a Markdown file, which annotators find behind a button."""

from pathlib import Path

from fake_studio import FakeStudio
from terminal import Terminal


def dataset(terminal: Terminal, guidelines: str) -> Path:
    """A new dataset with a file of guidelines."""
    terminal.goldleaf("init", "new")
    file = terminal.folder / "new" / "dataset.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text}\nreview: {{budget: 0.5, guidelines: rules.md}}\n", encoding="utf-8")
    (terminal.folder / "new" / "rules.md").write_text(guidelines, encoding="utf-8")
    return file


def test_docstring_and_guidelines_are_rendered_and_their_html_is_only_shown(studio: FakeStudio, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, studio.url, studio.token)
    file = dataset(terminal, "# Rules\n\n- *Late* parcels are **delivery**.\n\n<script>alert(1)</script>\n")
    terminal.goldleaf("curate", str(file))
    [project] = [one for one in studio.projects.values() if "goldleaf:new:" in one["description"]]
    shown = project["expert_instruction"]
    assert shown.startswith("<p>Name the topic of this customer question.</p>")
    assert "<h1>Rules</h1>" in shown and "<em>Late</em> parcels are <strong>delivery</strong>." in shown
    assert "&lt;script&gt;" in shown and "<script>" not in shown


def test_guidelines_that_are_not_there_are_named_with_the_line(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    file = dataset(terminal, "")
    (tmp_path / "new" / "rules.md").unlink()
    error = terminal.error("check", str(file))
    line = next(n for n, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1) if "guidelines" in text)
    assert error.startswith(f"{file}:{line}: the guidelines {tmp_path}/new/rules.md cannot be read (")
    assert error.endswith("; correct review.guidelines, which names a Markdown file in UTF-8")


def test_other_guidelines_make_no_decision_anew(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    file = dataset(terminal, "One.")
    terminal.goldleaf("curate", str(file), "--no-push")
    file.write_text(file.read_text(encoding="utf-8").replace("rules.md", "other.md"), encoding="utf-8")
    (tmp_path / "new" / "other.md").write_text("Two.", encoding="utf-8")
    assert "has changed" not in terminal.goldleaf("status", str(file)).output
