"""The sample sets are what their README says: reproducible, labelled with the truth, and honest."""

import csv
import hashlib
import itertools
import json
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
from stdnum import iban, luhn

from pipeline.config.dataset_file import LoadedDataset, load_dataset_file
from pipeline.ingest.chat_layouts import NotAChat
from pipeline.ingest.formats import read_rows
from pipeline.ingest.row_values import row_values
from pipeline.kinds.interface import LabeledText
from pipeline.kinds.registry import KIND_NAMES, kind_of
from schemas.field import same_targets
from schemas.parsed import Parsed

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
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
PLANTS = {
    "clauses": {
        "exact_duplicate": 40,
        "near_duplicate": 40,
        "conflict": 30,
        "wrong_label": 40,
        "malformed": 12,
        "personal_data": 14,
        "template_token": 4,
        "unlabeled": 25,
    },
    "invoices": {
        "exact_duplicate": 4,
        "near_duplicate": 4,
        "wrong_value": 10,
        "invalid": 6,
        "unlabeled": 8,
        "personal_data": 3,
    },
    "support": {
        "missing_label": 13,
        "extra_label": 13,
        "swapped_label": 13,
        "conflict": 12,
        "exact_duplicate": 13,
        "near_duplicate": 13,
        "unlabeled": 12,
        "repeated_label": 6,
        "unknown_label": 6,
        "personal_data": 10,
    },
    "plain": {
        "copied": 11,
        "cut": 11,
        "number_changed": 12,
        "name_changed": 11,
        "negation_turned": 10,
        "other_row": 11,
        "link_lost": 3,
        "other_language": 12,
        "empty": 8,
        "second_answer": 10,
        "exact_duplicate": 10,
        "near_duplicate": 10,
        "personal_data": 8,
        "unlabeled": 10,
    },
    "assistant": {
        "cut_answer": 8,
        "loop": 6,
        "refusal": 6,
        "leaked_prompt": 6,
        "template_token": 6,
        "placeholder": 6,
        "empty_turn": 6,
        "bad_arguments": 8,
        "unknown_function": 6,
        "assistant_first": 6,
        "user_twice": 6,
        "other_language": 6,
        "same_system_prompt": 7,
        "exact_duplicate": 6,
        "image": 6,
        "unknown_role": 6,
        "unlabeled": 8,
    },
}


def generate(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the generator as a user does."""
    # -B: without it the run would leave compiled files among the samples.
    command = [sys.executable, "-B", str(SAMPLES / "generate.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def lines(name: str) -> list[bytes]:
    return (SAMPLES / name).read_bytes().removesuffix(b"\n").split(b"\n")


def truth(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(f"{name}/truth.jsonl")]


def clauses() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each well-formed clause with its truth."""
    pairs = zip(lines("clauses/clauses.jsonl"), truth("clauses"), strict=True)
    return [(json.loads(raw), true) for raw, true in pairs if true["planted"] != ["malformed"]]


def invoices() -> list[tuple[list[str], dict[str, Any]]]:
    """Return the cells of each invoice with its truth."""
    with (SAMPLES / "invoices/invoices.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return list(zip(rows, truth("invoices"), strict=True))


def questions() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each customer's question with its truth."""
    pairs = zip(lines("support/questions.jsonl"), truth("support"), strict=True)
    return [(json.loads(raw), true) for raw, true in pairs]


def sentences() -> list[tuple[dict[str, str], dict[str, Any]]]:
    """Return each official sentence with its truth."""
    with (SAMPLES / "plain/sentences.csv").open(encoding="utf-8", newline="") as file:
        return list(zip(csv.DictReader(file), truth("plain"), strict=True))


def chats() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each conversation with its truth."""
    raw = {name: lines(f"assistant/{name}") for name in ("chats.jsonl", "shared_chats.jsonl")}
    return [(json.loads(raw[true["file"]][true["line"] - 1]), true) for true in truth("assistant")]


def turns(raw: dict[str, Any]) -> list[tuple[str, str]]:
    """Return who says what in a conversation of either layout, without the system prompt."""
    if "messages" in raw:
        return [(turn["role"], str(turn["content"])) for turn in raw["messages"][1:]]
    roles = {"human": "user", "gpt": "assistant", "function_call": "assistant", "observation": "tool"}
    return [
        (roles[turn["from"]], "" if turn["from"] == "function_call" else turn["value"]) for turn in raw["conversations"]
    ]


def dataset_of(name: str) -> LoadedDataset:
    return load_dataset_file(SAMPLES / name / "dataset.yaml")


def parsed(name: str) -> list[tuple[Parsed | None, dict[str, Any]]]:
    """Return each row of a sample as its task reads it, None if it refuses it, with its truth."""
    dataset = dataset_of(name)
    found: list[Parsed | None] = []
    for source in dataset.config.sources:
        for raw in read_rows(SAMPLES / name / source.path):
            assert raw.row is not None
            try:
                values, _ = row_values(raw.row, dataset.task, dataset.task.model_fields, source.fields, source.layout)
            except NotAChat:
                found.append(None)
                continue
            read = dataset.task.task_parse(values)
            found.append(None if read.problems else read)
    return list(zip(found, truth(name), strict=True))


def trigrams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower())
    return set(zip(words, words[1:], words[2:], strict=False))


def similar_rows(a: set[tuple[str, ...]], b: set[tuple[str, ...]]) -> float:
    return len(a & b) / len(a | b)


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
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 2_000_000


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


# --- the samples of the other kinds ----------------------------------------------------------------------
# What changes nothing about a row's answer.
HONEST = {
    *(None, "exact_duplicate", "near_duplicate", "personal_data", "second_answer", "same_system_prompt"),
    *("assistant_first", "user_twice", "right_topics"),
}
REFUSED = {"repeated_label", "unknown_label", "image", "unknown_role"}


def fault(true: dict[str, Any]) -> str | None:
    """Return what is planted in a row; of a conflict, which half it is."""
    [planted] = true["planted"] or [None]
    return true["detail"] if planted == "conflict" else planted


def test_there_is_a_sample_of_every_kind() -> None:
    names = [path.parent.name for path in SAMPLES.glob("*/dataset.yaml")]
    assert sorted(kind_of(dataset_of(name).task).name for name in names) == sorted(KIND_NAMES)
    assert set(names) == set(PLANTS)


@pytest.mark.parametrize("name", ["support", "plain", "assistant"])
def test_exactly_the_rows_that_cannot_be_read_are_refused(name: str) -> None:
    for row, true in parsed(name):
        assert (row is None) == (fault(true) in REFUSED), true
        assert row is None or row.warnings == []


@pytest.mark.parametrize("name", ["support", "plain", "assistant"])
def test_an_answer_is_the_truth_unless_a_fault_is_in_it(name: str) -> None:
    task = dataset_of(name).task
    for row, true in parsed(name):
        right = task.task_validate_targets(true["values"])
        if fault(true) == "unlabeled":
            assert row is not None and row.targets is None
        elif row is not None:
            # In an empty turn of the user, the answer is as it was.
            is_honest = fault(true) in HONEST or (fault(true) == "empty_turn" and true["detail"] == "user")
            assert same_targets(row.targets, right) == is_honest, true


@pytest.mark.parametrize("name", ["support", "assistant"])
def test_every_truth_names_its_raw_line_by_hash(name: str) -> None:
    for true in truth(name):
        raw = lines(f"{name}/{true.get('file', 'questions.jsonl')}")
        assert true["sha256"] == hashlib.sha256(raw[true["line"] - 1]).hexdigest()


def test_every_sentence_is_on_the_line_that_its_truth_names() -> None:
    raw = lines("plain/sentences.csv")
    assert all(raw[true["line"] - 1].startswith(f"{row['id']},".encode()) for row, true in sentences())
    assert [row["id"] for row, _ in sentences()] == [true["id"] for true in truth("plain")]


def test_the_other_sets_have_the_promised_size() -> None:
    assert 500 <= len(questions()) <= 600
    assert 400 <= len(sentences()) <= 460
    assert 220 <= len(chats()) <= 260
    topics = Counter(topic for true in truth("support") for topic in true["values"]["topics"])
    assert len(topics) == 11 and min(topics.values()) >= 40
    assert sum(not true["values"]["topics"] for true in truth("support")) >= 20
    assert max(len(true["values"]["topics"]) for true in truth("support")) == 3
    assert len({raw["home"] for raw, _ in chats()}) == 20
    assert all(len(true["values"]["plain"].split()) <= 25 for true in truth("plain"))


def test_wrong_topics_are_wrong_in_the_way_that_is_planted() -> None:
    for raw, true in questions():
        given, right = set(raw.get("topics") or ()), set(true["values"]["topics"])
        match fault(true):
            case "missing_label":
                assert right - given == {true["detail"]} and given < right
            case "extra_label":
                assert given - right == {true["detail"]} and right < given
            case "swapped_label":
                assert right == {true["detail"]} and len(given) == 1


def test_a_plain_sentence_keeps_numbers_names_and_links_and_only_a_planted_one_does_not() -> None:
    kept = re.compile(r"https://[\w./]*\w|\d+|M[rs]s? [A-Z][\w-]+")
    for row, true in sentences():
        said = set(kept.findall(row["sentence"]))
        assert set(kept.findall(true["values"]["plain"])) <= said
        lost = said - set(kept.findall(row["plain"]))
        if fault(true) in ("number_changed", "name_changed"):
            assert set(kept.findall(row["plain"])) - said
        if fault(true) == "link_lost":
            assert any(one.startswith("https://") for one in lost)


def test_the_rules_find_the_faults_in_conversations_and_doubt_no_clean_one() -> None:
    """All but those that are hard on purpose: short answers that are cut, placeholders that may be ordinary words."""
    task, missed = dataset_of("assistant").task, Counter[str]()
    for row, true in parsed("assistant"):
        if row is None or row.targets is None:
            continue
        text = LabeledText("", row.inputs, row.targets, "")
        codes = {reason.code.value for reason in kind_of(task).score_labels(task, [text], 0).rows[0].reasons}
        if fault(true) in {None, "exact_duplicate", "same_system_prompt"}:
            assert codes == set(), true
        elif fault(true) not in codes:
            missed[str(fault(true))] += 1
    assert missed == {"cut_answer": 2, "placeholder": 2}


def test_conversations_with_one_system_prompt_are_no_copies() -> None:
    rows = {(true["file"], true["line"]): raw for raw, true in chats()}
    for raw, true in chats():
        if fault(true) == "same_system_prompt":
            file, _, line = true["original_line"].partition(":")
            other = rows[file, int(line)]
            assert raw["home"] == other["home"]
            said = [trigrams("\n".join(text for _, text in turns(one))) for one in (raw, other)]
            assert similar_rows(*said) < 0.6


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
