"""Writes the dataset card: what the Hugging Face tools read, and what users want to know first."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import yaml

from pipeline.kinds.registry import kind_of
from pipeline.releases.absent_labels import in_words
from pipeline.releases.audit_result import AuditResult
from pipeline.releases.frozen_sources import FrozenSource
from pipeline.releases.hub_license import hub_license
from pipeline.releases.preferences import PREFERENCES
from pipeline.releases.row_files import RowFile
from schemas.dataset import Dataset, OnConflict
from schemas.fate import LabelSource
from schemas.manifest import AbsentLabel, Funnel, Manifest, SplitFile
from schemas.run_summary import Proof
from schemas.task import Role, Task
from schemas.task_fields import tools_field, turn_fields

_EXAMPLE_CHARACTERS = 600
_MESSAGES = ("prompt", "completion", "tools")
_SIZES = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M")]
_CREATORS = {LabelSource.SOURCE: "found", LabelSource.HUMAN: "expert-generated"}
_LABELS = {
    LabelSource.SOURCE: "came with the raw row",
    LabelSource.HUMAN: "an annotator entered or confirmed it",
}
_GOLD = "its gold source is trusted like an annotator"


@dataclass(frozen=True, kw_only=True)
class VersionFacts:
    """What the manifest and the card of a version say, beside what its rows do."""

    funnel: Funnel
    inputs: Mapping[str, int]
    """Version of each table that was read."""
    from_gold: int = 0
    """Accepted rows of gold sources about which no annotator has decided."""
    unreviewed: int = 0
    """Accepted rows that are uncertain, and about which nobody is asked."""
    in_review: int = 0
    """Rows with an answer that wait for annotators."""
    in_review_pinned: Mapping[str, int] = field(default_factory=dict)
    """Of these, rows whose split is certain, by split."""
    doubted: int = 0
    """Of these, rows whose answer models doubt."""
    absent: Sequence[AbsentLabel] = ()
    """Labels missing from some split."""
    frozen: Sequence[FrozenSource] = ()
    """What is published of each frozen source."""
    preferences: Mapping[str, pa.Table] = field(default_factory=dict)
    """What annotators corrected, as pairs by split (``preference_tables``)."""
    audit: AuditResult | None = None
    """What the audit says of the accepted rows, if it was answered."""
    proof: Proof | None = None
    """How far `review.error_rate` is proven, if it is set."""


def dataset_card(
    manifest: Manifest,
    dataset: Dataset,
    task: type[Task],
    rows: Mapping[str, RowFile],
    facts: VersionFacts,
    preferences: Mapping[str, RowFile],
    empty: Sequence[str] = (),
    agreement: Sequence[str] = (),
) -> str:
    """The text of README.md.

    Args:
        manifest: complete except ``files``.
        dataset: title, description, license and language.
        task: the kind and the fields.
        rows: the files of the published rows by split.
        facts: what else is said of them.
        preferences: the files of the published preference pairs.
        empty: the splits without rows.
        agreement: how far annotators agree, a line for each field.
    """
    metadata = _metadata(manifest, dataset, task, rows, preferences)
    head = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=120)
    sections = [
        _introduction(manifest, dataset),
        _splits(manifest, dataset, empty),
        _loading(manifest, task),
        _row(manifest, task, rows),
        *([_preferences(manifest, task)] if preferences else []),
        _origins(manifest, rows, facts.frozen),
        _funnel(manifest),
        _quality(manifest, facts.audit, facts.proof, agreement),
        _limits(manifest, dataset, task),
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(sections) + "\n"


# --- machine-readable --------------------------------------------------------------------------
def _metadata(
    manifest: Manifest,
    dataset: Dataset,
    task: type[Task],
    files: Mapping[str, RowFile],
    preferences: Mapping[str, RowFile],
) -> dict[str, Any]:
    rows = _rows(manifest)
    configs = [{"config_name": "default", "default": True, "data_files": _files(manifest.splits)}]
    info = _info(files)
    if preferences:
        configs.append({"config_name": PREFERENCES, "data_files": _files(manifest.preferences)})
        pairs = _info(preferences)
        info = [{"config_name": "default", **info}, {"config_name": PREFERENCES, **pairs}]
    return {
        "pretty_name": dataset.release.title or dataset.name,
        **hub_license([dataset.release.license] if dataset.release.license else manifest.licenses.values()),
        "language": dataset.release.language,
        "size_categories": [next((name for limit, name in _SIZES if rows < limit), "n>10M")],
        "task_categories": list(kind_of(task).hub_categories),
        "annotations_creators": [_CREATORS[LabelSource(source)] for source in manifest.label_sources],
        # Named one by one: with a glob, the tools' caches would not notice that the files have changed.
        "configs": configs,
        "dataset_info": info,
    }


def _files(splits: Mapping[str, SplitFile]) -> list[dict[str, str]]:
    return [{"split": split, "path": file.file} for split, file in splits.items()]


def _info(files: Mapping[str, RowFile]) -> Any:
    """The columns of a config, and the size of its splits."""
    sizes = [{"name": split, "num_bytes": file.in_memory, "num_examples": file.rows} for split, file in files.items()]
    return {**_features(next(iter(files.values())).schema), "splits": sizes}


def _features(schema: pa.Schema) -> dict[str, Any]:
    # Takes half a second to import: only publishing pays for it.
    from datasets import DatasetInfo, Features

    info: dict[str, Any] = DatasetInfo(features=Features.from_arrow_schema(schema))._to_yaml_dict()
    return info


def _rows(manifest: Manifest) -> int:
    return sum(file.rows for file in manifest.splits.values())


# --- human-readable--------------------------------------------------------------------------
def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with right-aligned numbers."""
    lines = [[_cell(cell) for cell in row] for row in rows]
    right = [all(line[at].replace(",", "").isdigit() for line in lines) for at in range(len(head))]
    rule = ["--:" if numbers else "---" for numbers in right]
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(head), rule, *lines])


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _introduction(manifest: Manifest, dataset: Dataset) -> str:
    about = [f"# {dataset.release.title or dataset.name}"]
    if dataset.release.description:
        about.append(dataset.release.description.strip())
    about.append(
        f"{_rows(manifest):,} examples for instruction tuning ({manifest.kind}), {manifest.tokens:,} tokens of prompt "
        f"and answer ({manifest.encoding}). This is version {manifest.version} of `{manifest.name}`, published "
        f"on {manifest.created_at:%Y-%m-%d} by Goldleaf {manifest.goldleaf}. It never changes."
    )
    return "\n\n".join(about)


def _splits(manifest: Manifest, dataset: Dataset, empty: Sequence[str]) -> str:
    total = _rows(manifest)
    rows = [(split, file.rows, f"{file.rows / total:.1%}") for split, file in manifest.splits.items()]
    text = "Similar rows" if dataset.duplicates.threshold < 1 else "Rows with the same input"
    text += " are never in two splits"
    if dataset.split.group_by:
        text += f", nor are rows with the same {' and '.join(f'`{name}`' for name in dataset.split.group_by)}"
    text += ". A row stays in its split in every later version."
    if empty:
        named = ", ".join(f"`{split}`" for split in empty)
        text += f" Without rows, and therefore without a file: {named}."
    if absent := in_words(manifest.absent):
        text += f" {absent}."
    return f"## Splits\n\n{_table(('split', 'rows', 'share'), rows)}\n\n{text}"


_PLAIN = """

The turns are of the type `Json`, which older versions of `datasets` do not know: 4.0.0 fails with a TypeError. For
these, and for trainers that pin them, this writes every split as JSON Lines with `messages`. They read a key that a
turn lacks as null, and need one type for it in all rows:

```python
import json
from pathlib import Path

import pyarrow.parquet as pq

version = Path("{path}")
for split, file in json.loads((version / "manifest.json").read_text())["splits"].items():
    with open(f"{{split}}.jsonl", "w", encoding="utf-8") as out:
        for row in pq.read_table(version / file["file"]).to_pylist():
            turns = {{"messages": row["prompt"] + row["completion"], "tools": row.get("tools") or []}}
            plain = {{name: [json.loads(one) for one in some] for name, some in turns.items() if some}}
            out.write(json.dumps(plain, ensure_ascii=False) + "\\n")
```"""
"""For versions whose turns are JSON."""


def _loading(manifest: Manifest, task: type[Task]) -> str:
    split = next(iter(manifest.splits))
    plain = _PLAIN.format(path=f"path/to/{manifest.version}") if turn_fields(task) else ""
    return f"""## How to load it

```python
from datasets import load_dataset

dataset = load_dataset("path/to/{manifest.version}")
print(dataset["{split}"][0]["prompt"])
```

`prompt` and `completion` are chat messages, in the form that TRL's `SFTTrainer` expects. To pin this version in
another repository, add this line to its `goldleaf.lock`:

```
{manifest.reference}
```

With Goldleaf installed, this recomputes every digest and compares the version with the line; it needs no
other file:

```sh
goldleaf verify path/to/{manifest.version} --lock goldleaf.lock
```{plain}"""


def _row(manifest: Manifest, task: type[Task], rows: Mapping[str, RowFile]) -> str:
    columns = [
        ("`id`", "the same in all versions"),
        ("`prompt`", "the instruction and the inputs, as messages"),
        ("`completion`", "the answer, as the assistant's message"),
        *([("`tools`", "definitions of the tools that the assistant may call")] if tools_field(task) else []),
        ("`fields`", "the same inputs and answer as typed values: " + _fields(task)),
        ("`source`, `license`", "where the row comes from, and under which terms"),
        ("`label_source`", " or ".join(f"`{source}`: {text}" for source, text in _meanings(manifest))),
        ("`group`", "rows of one group are in the same split"),
        ("`tokens`", "of prompt and answer"),
    ]
    first = rows[next(iter(manifest.splits))].first
    # The messages of a conversation are JSON texts, which `datasets` gives back as objects.
    shown = {name: [_message(one) for one in value] if name in _MESSAGES else value for name, value in first.items()}
    example = json.dumps(_shortened(shown), ensure_ascii=False, indent=2)
    return f"## A row\n\n{_table(('column', 'content'), columns)}\n\n```json\n{example}\n```"


def _preferences(manifest: Manifest, task: type[Task]) -> str:
    split = next(iter(manifest.preferences))
    counts = _table(("split", "pairs"), [(name, file.rows) for name, file in manifest.preferences.items()])
    tools = ", `tools`" if tools_field(task) else ""
    return f"""## Preference pairs

Where an annotator corrected the answer of a row, both are here, for trainers such as TRL's `DPOTrainer`: `chosen` is
the answer of the row, `rejected` the one that it had before. A pair is in the split of its row, whose `id` it has.
Its columns are `id`, `prompt`, `chosen`, `rejected`{tools} and `split`. The version's digest is that of the rows only.

```python
pairs = load_dataset("path/to/{manifest.version}", "{PREFERENCES}")
print(pairs["{split}"][0]["rejected"])
```

{counts}"""


def _fields(task: type[Task]) -> str:
    return ", ".join(f"`{name}` ({role.value})" for role in Role for name in task.task_names(role))


def _message(published: Any) -> Any:
    return json.loads(published) if isinstance(published, str) else published


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shortened(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shortened(inner) for inner in value]
    if isinstance(value, str) and len(value) > _EXAMPLE_CHARACTERS:
        return f"{value[:_EXAMPLE_CHARACTERS]}…"
    return value


def _origins(manifest: Manifest, files: Mapping[str, RowFile], frozen: Sequence[FrozenSource]) -> str:
    labels = [
        (source, _LABELS[LabelSource(source)], _by_annotators(manifest) if source == LabelSource.HUMAN else count)
        for source, count in manifest.label_sources.items()
    ]
    if manifest.from_gold:
        labels.append((LabelSource.HUMAN.value, _GOLD, manifest.from_gold))
    rows = {split: files[split].by("source") for split in manifest.splits}
    sources = [
        (source, license, *(rows[split][source] for split in rows))
        for source, license in sorted(manifest.licenses.items())
    ]
    parts = [
        "## Sources",
        _table(("answer", "meaning", "rows"), labels),
        _table(("source", "license", *(f"rows in {split}" for split in rows)), sources),
        "\n".join(f"- {source}." for source in frozen),
    ]
    return "\n\n".join(filter(None, parts))


def _meanings(manifest: Manifest) -> list[tuple[str, str]]:
    """The values of `label_source` in words."""
    gold = f", or {_GOLD}" if manifest.from_gold else ""
    return [(source.value, text + gold * (source is LabelSource.HUMAN)) for source, text in _LABELS.items()]


def _by_annotators(manifest: Manifest) -> int:
    """How many answers annotators entered or confirmed; those of gold sources count like these in the rows."""
    return manifest.label_sources.get(LabelSource.HUMAN, 0) - manifest.from_gold


def _funnel(manifest: Manifest) -> str:
    funnel = manifest.funnel
    rows = [
        ("raw rows ever read", funnel.raw),
        ("replaced by a newer revision", funnel.superseded),
        ("withdrawn by their source", funnel.withdrawn),
        ("duplicates of a row that is kept", funnel.duplicate),
        ("rejected", funnel.rejected),
        ("held for review", funnel.review),
        ("**accepted**", funnel.accepted),
    ]
    return f"## From raw rows to this version\n\n{_table(('rows', 'number'), rows)}"


def _quality(manifest: Manifest, audit: AuditResult | None, proof: Proof | None, agreement: Sequence[str]) -> str:
    gold = f"; {manifest.from_gold:,} more are from gold sources" if manifest.from_gold else ""
    checked = f"{_by_annotators(manifest):,} of {_rows(manifest):,} answers"
    text = f"## Quality\n\nAnnotators entered or confirmed {checked}{gold}."
    if audit is not None:
        were = "was wrong and is" if audit.wrong == 1 else "were wrong and are"
        text += (
            f"\n\nOf the accepted rows, {audit.checked:,} were drawn at random and checked; {audit.wrong:,} {were} "
            f"corrected or removed. An estimated {audit.rate:.1%} of the {audit.rows:,} accepted answers "
            f"are wrong (95% interval: {audit.low:.1%} to {audit.high:.1%})."
        )
        if known := manifest.label_sources.get(LabelSource.HUMAN, 0):
            gold = " or are from gold sources" if manifest.from_gold else ""
            text += f" The {known:,} that annotators decided{gold} are taken as right."
        if audit.unheard:
            text += f" {audit.gap}."
        if audit.pending:
            text += f" This is preliminary, since {audit.waiting}."
    if proof is not None:
        said = str(proof)
        text += f"\n\n{said[:1].upper()}{said[1:]}."
    if agreement:
        lines = "\n".join(f"- {line}" for line in agreement)
        text += f"\n\nWhere several annotators answered the same rows, independently of each other:\n\n{lines}"
    return text


def _limits(manifest: Manifest, dataset: Dataset, task: type[Task]) -> str:
    threshold = dataset.duplicates.threshold
    lines = []
    if unseen := _rows(manifest) - manifest.label_sources.get(LabelSource.HUMAN, 0):
        also = ", and no gold source has them" if manifest.from_gold else ""
        lines.append(f"No annotator has reviewed {unseen:,} of the answers{also}: their source answers for them.")
    if count := manifest.unreviewed:
        what = "uncertain answer was" if count == 1 else "uncertain answers were"
        is_later = dataset.review.error_rate is not None
        why = "before annotators were asked" if is_later else "beyond the review budget"
        lines.append(f"{count:,} {what} accepted, {why} (`review.unreviewed: accept`).")
    has_exam = any(source.frozen and source.split == "test" for source in dataset.sources)
    if count := manifest.in_review:
        they = "row with an answer waits" if count == 1 else "rows with an answer wait"
        lines.append(
            f"{count:,} {they} in review, in none of the splits: they are harder than the others"
            + ("." if has_exam else ", so that a model scores higher on the test split than on all rows.")
        )
    as_is = "are published as is: copies and uncertain answers among them were kept."
    lines += [f"The rows of `{one.name}` ({one.split}) {as_is}" for one in dataset.sources if one.frozen]
    paraphrases = f"Paraphrases (similarity below {threshold:g}) count as separate rows."
    lines.append(paraphrases if threshold < 1 else "Only exact duplicates were removed.")
    if dataset.on_conflict is OnConflict.ANY_OF:
        lines.append("One input can have several rows, each with a different correct answer (`on_conflict: any_of`).")
    if kind_limits := kind_of(task).limits:
        lines.append(f"{kind_limits[0].upper()}{kind_limits[1:]}.")
    lines.append("Personal data and secrets are found by patterns, which miss some.")
    return "## Known limits\n\n" + "\n".join(f"- {line}" for line in lines)
