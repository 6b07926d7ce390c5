"""Checks the fields that dataset.yaml names against those that the rows have."""

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.row_facts import Facts
from pipeline.errors import ConfigError
from pipeline.ingest.field_checks import hinted, misspelled, ungrouped, unmapped, unread
from schemas.dataset import Dataset
from schemas.task_fields import whole_conversation


def require_group_fields(facts: Facts, config: Dataset) -> None:
    """Refuse a misspelled field: it would group nothing, and the card would make a false promise."""
    problem = hinted(ungrouped(config.split.group_by, facts.grouping), facts.grouping)
    if problem and facts.readable:
        raise ConfigError(f"split.group_by: {problem}")


def require_mapped_fields(facts: Facts, config: Dataset) -> None:
    """Refuse a misspelled target: it would only produce blank questions."""
    seen = facts.seen
    found = {source.name: misspelled(source, seen[source.name]) for source in config.sources if source.name in seen}
    if problems := [f"source '{name}': {hinted(problem, seen[name])}" for name, problem in found.items() if problem]:
        raise ConfigError("\n".join(problems))


def require_named_layouts(facts: Facts, dataset: LoadedDataset) -> None:
    """Refuse a layout that no row of its source has: all of them would be rejected, and their questions withdrawn.

    Rows of which nobody can say what layout they have are rejected, each for its own reason.
    """
    if not whole_conversation(dataset.task):
        return
    found = facts.layouts
    problems = [
        f"source '{source.name}': no row has the layout '{source.layout.value}'; correct `layout:`, or leave it out to "
        "have it found"
        for source in dataset.config.sources
        if (layouts := found.get(source.name)) and layouts.others and not layouts.rows and not layouts.rejected
    ]
    if problems:
        raise ConfigError("\n".join(problems))


def notes_about_layouts(facts: Facts, dataset: LoadedDataset) -> list[str]:
    """Report sources whose conversations have several layouts, or keys of turns that are not kept.

    A single layout that nobody named is nothing to act upon: `goldleaf check` says which it is.
    """
    return [
        f"source '{name}': conversations read from {layouts}" + (f"; {layouts.advice}" if len(layouts.rows) > 1 else "")
        for name, layouts in facts.layouts.items()
        if len(layouts.rows) > 1 or layouts.ignored
    ]


def notes_about_fields(facts: Facts, dataset: LoadedDataset) -> list[str]:
    """Report fields that are absent, possibly because of their name."""
    seen = facts.seen
    sources = [source for source in dataset.config.sources if source.name in seen]
    found = [(source.name, unmapped(source, seen[source.name], dataset.task)) for source in sources]
    notes = [f"source '{name}': {hinted(note, seen[name])}" for name, note in found if note]
    return notes + [f"source '{source.name}': {note}" for source in sources if (note := unread(seen[source.name]))]
