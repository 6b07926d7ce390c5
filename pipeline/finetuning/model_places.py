"""Which base model a dataset.yaml means: where its folder is, and what its files hold."""

from pathlib import Path

from pipeline.errors import TrainingError
from pipeline.finetuning.model_sources import BUNDLED, digest_of
from pipeline.state.atomic import is_folder
from schemas.identity import stable_hash


def placed(name: str, folder: Path) -> str:
    """A base model's name as ``load_base`` takes it: a relative path starts at the dataset.yaml's folder.

    Args:
        name: ``finetune.base_model``.
        folder: of the dataset.yaml.
    """
    if name == BUNDLED or name.startswith("~"):
        return name
    beside = folder / name
    # A path that starts at the working directory was the only relative one at first.
    is_meant = is_folder(beside) or (name.startswith(".") and not is_folder(Path(name)))
    return str(beside.resolve()) if is_meant else name


def cached_revision(name: str) -> str:
    """The commit of a Hub's model in the cache of Hugging Face; empty if there is none, or the model is no Hub's."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if name == BUNDLED or is_folder(Path(name).expanduser()):
        return ""
    try:
        found = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        # No name that a Hub could have.
        return ""
    return Path(found).parent.name if isinstance(found, str) else ""


def digest_of_files(name: str) -> str:
    """32 hex digits over the files of a base model's folder; empty for one that is no folder, such as a Hub's.

    Raises:
        TrainingError: a file cannot be read.
    """
    folder = Path(name).expanduser()
    if name == BUNDLED or not is_folder(folder):
        return ""
    parts: list[str] = []
    try:
        for path in sorted(path for path in folder.iterdir() if path.is_file()):
            parts += [path.name, digest_of(path)]
    except OSError as error:
        raise TrainingError(
            f"The base model {folder} cannot be read ({error.strerror}); give this user read permission, or fix "
            "finetune.base_model"
        ) from error
    return stable_hash(*parts)
