"""The rows of the samples with the truth about them, as their files and as their tasks have them."""

import csv
import json
import re
import unicodedata
from pathlib import Path
from typing import Any

from pipeline.config.dataset_file import LoadedDataset, load_dataset_file
from pipeline.ingest.chat_layouts import NotAChat
from pipeline.ingest.formats import read_rows
from pipeline.ingest.row_values import row_values
from schemas.parsed import Parsed

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
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


def fault(true: dict[str, Any]) -> str | None:
    """Return what is planted in a row; of a conflict, which half it is."""
    [planted] = true["planted"] or [None]
    return true["detail"] if planted == "conflict" else planted
