"""Guidelines of a dataset are a Markdown file, which annotators find behind a button."""

import textwrap
from pathlib import Path

import pytest
from fake_studio import FakeStudio
from hypothesis import given
from hypothesis import strategies as st
from terminal import Terminal
from tried_examples import examples

from pipeline.review.guidelines import unwrapped


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


# --- wrapped docstrings ---------------------------------------------------------------------------
WORDS = st.lists(st.text("abcdefgh", min_size=1, max_size=12), min_size=1, max_size=60)


@given(st.lists(WORDS, min_size=1, max_size=4), st.integers(64, 120))
@examples(100)
def test_what_an_editor_wrapped_is_one_line_again(paragraphs: list[list[str]], width: int) -> None:
    texts = [*(" ".join(words) for words in paragraphs), "w" * width]
    wrapped = ["\n".join(textwrap.wrap(text, width)) for text in texts]
    assert unwrapped("\n\n".join(wrapped)) == "\n\n".join(texts)


@given(st.text("ab.:-1| \n", max_size=300))
@examples(200)
def test_nothing_but_line_ends_is_taken_from_an_instruction(text: str) -> None:
    assert unwrapped(text).split() == text.split()


@pytest.mark.parametrize(
    "text",
    [
        "Name the topic.\nOne word.",
        "Name the topic of this\nquestion",
        f"{'a ' * 40}b:\n- one\n- two",
        f"{'a ' * 40}b\n1. one\n2. two",
        f"delivery: {'a ' * 40}.\nreturn: {'b ' * 40}.",
        f"| {'a ' * 40}|\n| {'b ' * 40}|",
    ],
)
def test_lines_that_an_author_began_stay(text: str) -> None:
    assert unwrapped(text) == text
