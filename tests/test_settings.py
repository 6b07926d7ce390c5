"""What depends on the machine comes from the environment or ``.env``, and from there only."""

import os
from pathlib import Path

import pytest

from flows.settings import Settings, prepare_prefect, use_label_studio
from pipeline.errors import ConfigError

NAMES = ("GOLDLEAF_HOME", "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "PREFECT_API_URL", "GOLDLEAF_CACHE")


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and none of our variables set; whatever a test sets goes with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {key: value for key, value in os.environ.items() if key not in NAMES})
    return tmp_path


def test_the_environment_outranks_the_env_file(clean: Path) -> None:
    (clean / ".env").write_text("GOLDLEAF_HOME=from-file\nLABEL_STUDIO_URL=http://file\nOTHER=1\n", encoding="utf-8")
    os.environ["LABEL_STUDIO_URL"] = "http://environment"
    settings = Settings()
    assert settings.home == clean / "from-file"
    assert settings.label_studio_url == "http://environment"


def test_a_variable_that_is_set_to_nothing_is_not_set(clean: Path) -> None:
    """``GOLDLEAF_HOME=`` would otherwise fill the working directory with tables."""
    os.environ["GOLDLEAF_HOME"] = ""
    assert Settings().home == clean / "data" / "store"


def test_the_home_is_absolute_and_may_begin_with_a_tilde() -> None:
    assert Settings(goldleaf_home="~/gold").home == Path.home() / "gold"


def test_a_home_on_a_server_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"^GOLDLEAF_HOME is 's3://bucket/x', but .*; set it to a folder$"):
        _ = Settings(goldleaf_home="s3://bucket/x").home


def test_secrets_are_not_shown() -> None:
    os.environ["LABEL_STUDIO_API_KEY"] = "very-secret"
    settings = Settings()
    assert "very-secret" not in repr(settings) + str(settings.model_dump())
    assert settings.label_studio_api_key.get_secret_value() == "very-secret"


def test_prefect_keeps_to_itself_without_a_server_and_the_user_s_settings_win(clean: Path) -> None:
    os.environ["PREFECT_LOGGING_LEVEL"] = "DEBUG"
    os.environ.pop("PREFECT_HOME", None)
    prepare_prefect(Settings(prefect_api_url="http://127.0.0.1:4200/api"))
    assert "PREFECT_HOME" not in os.environ
    prepare_prefect(Settings())
    home = clean / "data" / "store" / ".prefect"
    assert os.environ["PREFECT_HOME"] == str(home)
    assert home.is_dir(), "Prefect's server does not start below a folder that is not there"
    assert os.environ["PREFECT_LOGGING_LEVEL"] == "DEBUG"
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_a_label_studio_can_be_named_for_the_whole_process() -> None:
    settings = use_label_studio("http://127.0.0.1:1", "key")
    assert (settings.label_studio_url, settings.label_studio_api_key.get_secret_value()) == (
        "http://127.0.0.1:1",
        "key",
    )
    assert os.environ["LABEL_STUDIO_URL"] == "http://127.0.0.1:1"
