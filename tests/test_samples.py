"""The sample sets are what their README says: reproducible, labelled with the truth, and honest."""

import hashlib
import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import phonenumbers
import pytest
from samples_read import (
    PLANTS,
    SAMPLES,
    chats,
    clauses,
    fault,
    invoices,
    lines,
    questions,
    sentences,
    similar_rows,
    trigrams,
    truth,
    turns,
)
from stdnum import iban, luhn

FILES = (
    "clauses/clauses.jsonl",
    "clauses/truth.jsonl",
    "invoices/invoices.csv",
    "invoices/truth.jsonl",
    "support/questions.jsonl",
    "support/truth.jsonl",
    "plain/sentences.csv",
    "plain/truth.jsonl",
    "assistant/chats.jsonl",
    "assistant/shared_chats.jsonl",
    "assistant/truth.jsonl",
)
COPIES = {"exact_duplicate", "near_duplicate", "conflict"}


def generate(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the generator as a user does."""
    # -B: without it the run would leave compiled files among the samples.
    command = [sys.executable, "-B", str(SAMPLES / "generate.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def test_generating_again_gives_the_committed_bytes(tmp_path: Path) -> None:
    run = generate("--out", str(tmp_path))
    assert run.returncode == 0, run.stderr
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (SAMPLES / name).read_bytes(), f"{name} is stale: run generate.py"


def test_the_check_of_the_generator_passes_and_names_what_is_stale(tmp_path: Path) -> None:
    assert generate("--check").returncode == 0
    run = generate("--check", "--out", str(tmp_path))
    assert run.returncode == 1
    assert "clauses/clauses.jsonl is stale; run generate.py" in run.stdout


def test_the_readme_states_the_counts_that_the_generator_prints() -> None:
    assert generate("--counts").stdout.strip() in (SAMPLES / "README.md").read_text("utf-8")


def test_every_kind_of_clause_is_in_the_readme_with_its_meaning() -> None:
    readme = (SAMPLES / "README.md").read_text("utf-8")
    kinds = json.loads((SAMPLES / "material/kinds.json").read_text("utf-8"))
    assert all(f"| `{kind}` | {about['means']} |" in readme for kind, about in kinds.items())


@pytest.mark.parametrize("name", PLANTS)
def test_there_are_as_many_plants_as_promised_and_one_a_line_at_most(name: str) -> None:
    planted = [entry["planted"] for entry in truth(name)]
    assert max(map(len, planted)) == 1
    found = Counter(itertools.chain(*planted))
    assert {plant: found[plant] for plant, least in PLANTS[name].items() if found[plant] < least} == {}
    assert set(found) == set(PLANTS[name])


def test_the_sets_have_the_promised_size_and_no_kind_is_rare() -> None:
    assert 640 <= len(lines("clauses/clauses.jsonl")) <= 760
    assert 120 <= len(invoices()) <= 140
    kinds = Counter(true["kind"] for _, true in clauses())
    assert len(kinds) == 14
    assert min(kinds.values()) >= 25
    assert len({raw["contract"] for raw, _ in clauses()}) == 60
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 2_200_000


def test_every_truth_line_names_its_raw_line_by_hash() -> None:
    raw = lines("clauses/clauses.jsonl")
    assert [true["line"] for true in truth("clauses")] == list(range(1, len(raw) + 1))
    assert [true["sha256"] for true in truth("clauses")] == [hashlib.sha256(line).hexdigest() for line in raw]


def test_every_invoice_starts_on_the_line_that_its_truth_names() -> None:
    raw = lines("invoices/invoices.csv")
    for cells, true in invoices():
        assert cells[0] == true["id"]
        assert raw[true["line"] - 1].startswith(f"{true['id']},".encode())


def test_the_label_is_the_truth_unless_something_else_is_planted() -> None:
    for raw, true in clauses():
        wrong = true["planted"] == ["wrong_label"] or true["detail"] == "wrong_kind"
        if true["planted"] == ["unlabeled"]:
            assert raw.get("kind") is None
        else:
            assert (raw["kind"] != true["kind"]) == wrong


def test_only_malformed_lines_have_no_answer_and_only_refused_ones_are_unusable() -> None:
    for true in truth("clauses"):
        assert (true["kind"] is None) == (true["planted"] == ["malformed"])
        assert true["usable"] == (true["planted"] not in (["malformed"], ["personal_data"], ["template_token"]))


def test_unplanted_texts_are_never_similar() -> None:
    # Originals count as unplanted; only their copies are left out.
    texts = {
        "clauses": [raw["clause"] for raw, true in clauses() if true["original_line"] is None],
        "invoices": [cells[1] for cells, true in invoices() if true["original_id"] is None and cells[1]],
        "support": [raw["question"] for raw, true in questions() if true["original_line"] is None],
        "plain": [raw["sentence"] for raw, true in sentences() if true["original_id"] is None],
        "assistant": [
            "\n".join(text for _, text in turns(raw))
            for raw, true in chats()
            if true["original_line"] is None and true["planted"] != ["unknown_role"]
        ],
    }
    for several in texts.values():
        grams = [trigrams(text) for text in several]
        assert max(similar_rows(a, b) for a, b in itertools.combinations(grams, 2)) < 0.6


def test_duplicates_are_as_near_as_they_claim_and_come_after_their_original() -> None:
    by_line = {true["line"]: raw for raw, true in clauses()}
    for raw, true in clauses():
        if not COPIES & set(true["planted"]) or true["original_line"] is None:
            continue
        original = by_line[true["original_line"]]
        near = similar_rows(trigrams(raw["clause"]), trigrams(original["clause"]))
        if true["planted"] == ["conflict"]:
            assert raw["clause"] == original["clause"]
            assert raw["kind"] != original["kind"]
        else:
            assert raw["kind"] == original["kind"]
            assert true["line"] > true["original_line"]
            assert near == 1 if true["planted"] == ["exact_duplicate"] else 0.75 <= near < 1


def test_right_values_occur_in_the_text_and_the_wrong_one_does_not() -> None:
    names = ("vendor", "invoice_number", "purchase_order")
    for cells, true in invoices():
        if not true["values"]:
            continue
        text = " ".join(cells[1].split())
        assert all(true["values"][name] in text for name in names if true["values"][name])
        # Amounts are written in many ways; their digits are the same in all of them.
        assert re.sub(r"\D", "", f"{true['values']['total']:.2f}") in re.sub(r"[^\d\s]|(?<=\d) (?=\d{3}\b)", "", text)
        if true["planted"] == ["wrong_value"]:
            right = ["" if value is None else str(value) for value in true["values"].values()]
            wrong = [cell for cell, value in zip(cells[2:], right, strict=True) if cell != value]
            assert len(wrong) == 1
            assert wrong[0] not in text


def test_planted_numbers_pass_the_validators() -> None:
    texts = [(true["detail"], raw["clause"]) for raw, true in clauses() if true["planted"] == ["personal_data"]]
    texts += [(true["detail"], cells[1]) for cells, true in invoices() if true["planted"] == ["personal_data"]]
    texts += [(true["detail"], raw["question"]) for raw, true in questions() if fault(true) == "personal_data"]
    texts += [(true["detail"], row["sentence"]) for row, true in sentences() if fault(true) == "personal_data"]
    assert len(texts) == 35
    for detail, text in texts:
        if "phone" in detail:
            region = "US" if detail == "phone_us" else "GB"
            assert list(phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.VALID))
        if detail == "card":
            assert any(luhn.is_valid(re.sub(r"\D", "", digits)) for digits in re.findall(r"[\d -]{16,}", text))
        if detail == "iban":
            assert any(iban.is_valid(found) for found in re.findall(r"[A-Z]{2}\d\d(?: [A-Z\d]{2,4})+", text))


def test_no_domain_but_the_example_ones_appears() -> None:
    domain = re.compile(r"[\w-]+\.(?:com|org|net|io|dev|co|eu|uk|de|fr|ch|ai|app|info|biz)\b", re.IGNORECASE)
    found = set()
    for path in SAMPLES.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            found |= set(domain.findall(path.read_bytes().decode("utf-8", "replace")))
    assert found == {"example.com", "example.org"}


def test_every_text_file_ends_with_a_newline() -> None:
    for path in SAMPLES.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            assert path.read_bytes().endswith(b"\n"), path
