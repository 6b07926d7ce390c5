"""Whatever a Label Studio server answers ends in one clear line, and no annotator's answer is lost by it."""

from pathlib import Path
from random import Random

import pytest
from ill_servers import DAMAGES, HASTY, Year, ill_studio
from ingest_home import Home
from loopback import serving
from studio_clauses import clauses, new_project, nothing

from flows.local.annotating_client import AnnotatingClient
from pipeline.errors import ConfigError, LabelStudioError, SourceError
from pipeline.ingest import download
from schemas.dataset import Mode, Source
from schemas.tasks.contract_clause import ContractClause


def everything(client: AnnotatingClient) -> None:
    """What a push and a pull ask of a server, all of it once."""
    client.check()
    project = new_project(client, ContractClause, "ill")
    client.identity(project)
    client.push(project, clauses("a", "b"), nothing)
    client.pull(project, None)
    client.withdraw(project, client.asked(project))
    client.ensure_user("new@example.com", "", "")


@pytest.mark.parametrize(
    "at", ["whoami", "GET /api/projects/?", "POST /api/projects", "GET /api/projects/1", "import", "GET /api/tasks/?",
           "GET /api/tasks/1", "DELETE /api/tasks/1", "users"]
)  # fmt: skip
def test_every_answer_to_every_request_is_understood_or_is_one_line(at: str) -> None:
    with ill_studio() as server:
        for damage in DAMAGES:
            server.damages, server.at = [damage], at
            server.fake.projects.clear()
            server.fake.tasks.clear()
            with AnnotatingClient(server.fake.url, server.fake.token, HASTY) as client:
                try:
                    everything(client)
                except LabelStudioError as error:
                    assert str(error).isprintable(), damage
                    assert len(str(error)) < 800, damage


@pytest.mark.parametrize("name", ["data.jsonl", "data.parquet"])
def test_every_answer_of_a_source_is_read_or_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What is text is read as rows, the broken ones too; nothing else is, and nothing is withdrawn for it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PATIENCE", HASTY.login)
    home, random = Home(tmp_path), Random(1)
    home.write("data.jsonl", [{"id": number, "text": f"row {number}"} for number in range(20)])
    sound = (200, {}, (tmp_path / "data.jsonl").read_bytes())
    home.ingest(Source(name="s", path="data.jsonl", key="id", mode=Mode.SNAPSHOT))
    for damage, do in DAMAGES.items():
        with serving(lambda *_, do=do: do(sound, random)) as server:
            try:
                home.ingest(Source(name="s", path=f"{server.url}/{name}", key="id", mode=Mode.SNAPSHOT))
            except (SourceError, ConfigError) as error:
                assert "\n" not in str(error), damage
        assert home.current().height >= 1, damage


def test_a_year_with_a_server_that_is_often_ill_loses_and_repeats_nothing(tmp_path: Path) -> None:
    with ill_studio() as server:
        Year(tmp_path, server, seed=20261126).live(days=6)
