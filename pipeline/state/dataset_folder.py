"""Where everything of a dataset is in a home: its folders, files and locks; the tables are in ``store``."""

import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path

from pipeline.state.atomic import remove_unfinished
from pipeline.state.locks import Waiting, held, holder_of
from schemas.run_summary import Verb

REPORT = "report.html"
"""The report on a home's state, or on a version."""
_CACHES = {"derived", "standing", "judges", "read", "published", "adopted"}
_OWN_FOLDERS = {"tables", "releases", "models", "work", "downloads", "finetuning", "notes", "suggestions"} | _CACHES
_FINETUNE_LOCK = "finetune.lock"
_BASELINES = "goldleaf baselines"
_OWN_ENDINGS = (".lock", REPORT)
_OWN_SERVERS = {".prefect", ".label-studio"}
_A_DAY = 24 * 60 * 60
_AT_COMMIT = "at-commit"
_BEGUN = ".begun"
"""The ending of a file that is there while a verb's run has not ended."""


class DatasetFolder:
    """The folder of one dataset in a home."""

    def __init__(self, home: Path, dataset: str) -> None:
        self.dataset = dataset
        self.root = home / dataset

    def siblings(self) -> list[str]:
        """The names of the other datasets in the same home."""
        found = {path.parent.name for name in ("tables", "releases") for path in self.root.parent.glob(f"*/{name}/")}
        return sorted(found - {self.dataset})

    # --- places -------------------------------------------------------------------------------
    @property
    def releases(self) -> Path:
        """The folder of published versions."""
        return self.root / "releases"

    @property
    def models(self) -> Path:
        """The folder of trained adapters."""
        return self.root / "models"

    @property
    def report(self) -> Path:
        """The report on the current state."""
        return self.root / REPORT

    @property
    def calls(self) -> Path:
        """The ledger of all calls of a model's endpoint; may not exist. Not among the tables: it must outlive them, or
        every answer would be paid again.
        """
        return self.root / "suggestions" / "calls.sqlite"

    @property
    def arm_calls(self) -> Path:
        """The same of what models were asked to be compared with an adapter: no budget of suggestions counts these."""
        return self.root / "suggestions" / "arms.sqlite"

    @property
    def moved(self) -> Path:
        """The current places of rows that have moved since they were first read; may not exist."""
        return self.root / "tables" / "moved.parquet"

    @property
    def refused(self) -> Path:
        """The questions that a Label Studio server has refused; may not exist."""
        return self.root / "tables" / "refused.parquet"

    @property
    def rebuilding(self) -> Path:
        """Exists while the index of similar texts is rebuilt, until a run is committed: its tables begin anew, so that
        they are at lower versions than before.
        """
        return self.root / "tables" / "rebuilding"

    def derived(self, digest: str) -> Path:
        """The folder of what was derived from rows under a digest; a cache."""
        return self.root / "derived" / digest

    @property
    def standing(self) -> Path:
        """The folder of what stands of the last curate; a cache."""
        return self.root / "standing"

    @property
    def judges(self) -> Path:
        """The folder of what judges labels; a cache."""
        return self.root / "judges"

    @property
    def read(self) -> Path:
        """The folder of what was read of the sources; a cache."""
        return self.root / "read"

    @property
    def notes(self) -> Path:
        """The folder of what runs note for later ones beside their commits; small files, which may be deleted."""
        return self.root / "notes"

    def owns(self, path: Path) -> bool:
        """Whether a file belongs to this home, whichever the dataset, so that it is never a source.

        The home may as well be a folder with data: only what Goldleaf itself puts there counts.
        """
        home, path = self.root.parent.resolve(), path.resolve()
        if path == home or not path.is_relative_to(home):
            return False
        dataset, *rest = path.relative_to(home).parts
        if dataset in _OWN_SERVERS:
            return True
        is_state = any((home / dataset / name).exists() for name in ("tables", "state.lock"))
        in_it = rest[:1] and (rest[0] in _OWN_FOLDERS or (len(rest) == 1 and rest[0].endswith(_OWN_ENDINGS)))
        return bool(is_state and in_it)

    # --- what is there for a while --------------------------------------------------------------
    def work(self, run: str) -> Path:
        """The folder for a run's intermediate files; removed when the run ends."""
        folder = self.root / "work" / run
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def until_commit(self, run: str, file: Path) -> Path:
        """Where a file waits for the commit of a run, with which it takes the place of an older one; if the run fails,
        that one stays.
        """
        waiting = self.work(run) / _AT_COMMIT / file.relative_to(self.root)
        waiting.parent.mkdir(parents=True, exist_ok=True)
        return waiting

    def put_in_place(self, run: str) -> None:
        """Let the files that have waited for the commit of a run take their places."""
        folder = self.root / "work" / run / _AT_COMMIT
        for waiting in [path for path in folder.rglob("*") if path.is_file()]:
            final = self.root / waiting.relative_to(folder)
            final.parent.mkdir(parents=True, exist_ok=True)
            waiting.replace(final)

    def clear_work(self) -> None:
        """Remove intermediate files, including those of killed runs; call it while holding the lock.

        A file unfinished for a day belongs to a killed run; a younger one may belong to another running verb.
        """
        for folder in (self.root / "work").glob("*/"):
            shutil.rmtree(folder, ignore_errors=True)
        remove_unfinished(self.root, before=time.time() - _A_DAY)

    @contextmanager
    def own_work(self, verb: Verb | None = None) -> Iterator[None]:
        """Let a run have the intermediate files to itself: none are there before and after it.

        Args:
            verb: what it does. Until a run of this verb has ended, it shows that one has ``begun``; None for a run
                whose work any other one does.
        """
        self.clear_work()
        begun = self.root / "work" / f"{verb}{_BEGUN}"
        # One that was killed stays so if this one fails.
        was_begun = begun.exists()
        if verb is not None and not was_begun:
            begun.parent.mkdir(parents=True, exist_ok=True)
            begun.touch()
        try:
            yield
        except Exception:
            self.clear_work()
            if not was_begun:
                begun.unlink(missing_ok=True)
            raise
        self.clear_work()
        begun.unlink(missing_ok=True)

    @property
    def begun(self) -> dict[str, datetime]:
        """By verb: when a run began that has not ended, be it at work or killed."""
        found: dict[str, datetime] = {}
        for path in sorted((self.root / "work").glob(f"*{_BEGUN}")):
            # A run may end just now.
            with suppress(FileNotFoundError):
                found[path.stem] = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return found

    @property
    def downloads(self) -> Path:
        """The folder for downloads, which ``clear_work`` leaves alone."""
        return self.root / "downloads"

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Let one curate at a time fill the folder of downloads and read it; it is emptied before and removed after.

        Two at once could read an older download after a newer one. This is not the lock of the state, so that others
        need not wait for a server; if taken, it raises ``Busy``.
        """
        advice = "run curate again when it has finished"
        with held(self.root / "fetch.lock", self.dataset, "goldleaf curate (fetching sources)", advice):
            shutil.rmtree(self.downloads, ignore_errors=True)
            self.downloads.mkdir(exist_ok=True)
            try:
                yield
            finally:
                shutil.rmtree(self.downloads, ignore_errors=True)

    @contextmanager
    def scratch(self, run: str) -> Iterator[Path]:
        """An empty folder for a fine-tuning run, during which others may curate; removed at the end.

        Leftovers of killed fine-tuning runs are removed too: the caller holds their lock.
        """
        parent = self.root / "finetuning"
        shutil.rmtree(parent, ignore_errors=True)
        folder = parent / run
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(parent, ignore_errors=True)

    # --- locking ------------------------------------------------------------------------------
    def lock(self, verb: Verb, patience: float = 0.0, waiting: Waiting = nullcontext) -> AbstractContextManager[None]:
        """Keep a second writer out; raises ``Busy``, or waits some seconds for the first and shows whom it waits for.

        Curate, collect and release share one lock, since each reads what the others decide.
        """
        file = _FINETUNE_LOCK if verb is Verb.FINETUNE else "state.lock"
        advice = f"run {verb} again when it has finished"
        return held(self.root / file, self.dataset, f"goldleaf {verb}", advice, patience, waiting)

    def baselines_lock(self) -> AbstractContextManager[None]:
        """Keep fine-tunings out while arms are asked that need no training: they share kept answers."""
        advice = "run baselines again when it has finished"
        return held(self.root / _FINETUNE_LOCK, self.dataset, _BASELINES, advice)

    @property
    def is_finetuning(self) -> bool:
        """Whether a fine-tuning is running."""
        return holder_of(self.root / _FINETUNE_LOCK) is not None and not self.is_asking_baselines

    @property
    def is_asking_baselines(self) -> bool:
        """Whether arms that need no training are asked just now."""
        holder = holder_of(self.root / _FINETUNE_LOCK)
        return holder is not None and holder.who.startswith(_BASELINES)

    def push_lock(self) -> AbstractContextManager[None]:
        """Let one process at a time send questions: two would ask each of them twice.

        It is not the lock of the state, so that others need not wait for Label Studio.
        """
        advice = "the next curate sends the rest"
        return held(self.root / "push.lock", self.dataset, "goldleaf curate (sending questions)", advice)

    def pull_lock(self) -> AbstractContextManager[None]:
        """Let one process at a time pull answers and store them: an older state must not follow a newer one.

        This is not the lock of the state, either.
        """
        advice = "run collect again when it has finished"
        return held(self.root / "pull.lock", self.dataset, "goldleaf collect (pulling annotations)", advice)

    def asking_lock(self) -> AbstractContextManager[None]:
        """Let one process at a time ask a model: two would pay for the same answers.

        It is not the lock of the state, so that others need not wait for the model.
        """
        advice = "the next curate asks about the rest"
        return held(self.root / "asking.lock", self.dataset, "goldleaf suggest (asking the model)", advice)

    @contextmanager
    def compacting(self) -> Iterator[None]:
        """Keep all writers of tables out; raises ``Busy`` if there is one."""
        with ExitStack() as locks:
            for name in ("state", "pull", "push"):
                advice = "run compact again when it has finished"
                locks.enter_context(held(self.root / f"{name}.lock", self.dataset, "goldleaf compact", advice))
            yield
