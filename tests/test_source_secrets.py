"""Secrets of a source that is a URL: they are sent where they belong, and kept and shown nowhere."""

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import polars as pl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from ingest_home import Home
from loopback import Handler, Reply, Server, serving
from support import row, write_dataset
from terminal import Terminal

from pipeline.errors import SourceError
from pipeline.ingest import ingest_sources, sources
from pipeline.state import table_rewriting
from pipeline.state.work_files import read_work
from schemas.dataset import Source
from schemas.fetched import without_credentials

SECRET = "opensesame"
ROWS = [row(1, "Where is my parcel?", "delivery"), row(2, "Why was I charged twice?", "billing")]
BODY = "".join(json.dumps(one) + "\n" for one in ROWS).encode()
COPY = json.dumps(row(9, "Why was I charged twice?", "billing")).encode()


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def write_source(folder: Path, path: str, more: str = "", evaluation: str = "") -> None:
    """A dataset whose only source is a URL."""
    against = f"decontaminate: {{against: [{{name: exam, path: '{evaluation}'}}]}}\n" if evaluation else ""
    write_dataset(folder, [], against)
    file = folder / "dataset.yaml"
    file.write_text(file.read_text().replace("path: data.jsonl", f"path: '{path}'{more}"))


def kept_in(home: Path) -> Iterator[tuple[Path, str]]:
    """All that a home holds, as text."""
    for file in home.rglob("*"):
        if file.suffix == ".parquet":
            read = pl.read_parquet if file.parent.parent.name == "tables" or "_delta_log" in file.parts else read_work
            yield file, str(read(file).to_dicts())
        elif file.is_file():
            yield file, file.read_bytes().decode("utf-8", "replace")


def places_with_secrets(home: Path) -> list[str]:
    return sorted({str(file.relative_to(home)) for file, text in kept_in(home) if SECRET in text})


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("https://me:opensesame@example.org:81/a/b.csv?token=opensesame#opensesame", "https://example.org:81/a/b.csv"),
        ("HTTPS://opensesame@[::1]:81/a@b.csv", "HTTPS://[::1]:81/a@b.csv"),
        ("https://me:open/sesame@example.org/a.csv", "https://…"),
        ("data/*.jsonl?", "data/*.jsonl?"),
    ],
)
def test_a_url_is_shown_without_what_may_be_a_secret(place: str, shown: str) -> None:
    assert without_credentials(place) == shown


def test_a_secret_in_a_url_is_in_no_file_and_in_no_output(tmp_path: Path) -> None:
    def answer(method: str, path: str, body: bytes) -> Reply:
        if path.startswith("/exam"):
            return 200, {}, COPY
        return (200, {}, BODY) if is_well else (500, {}, b"")

    is_well = True
    with serving(answer) as server:
        server_name = server.url.removeprefix("http://")
        url = f"http://me:{SECRET}-1@{server_name}/data.jsonl?token={SECRET}-2"
        write_source(tmp_path, url, evaluation=f"{server.url}/exam.jsonl?token={SECRET}-3")
        terminal = Terminal(tmp_path)
        said = [terminal.goldleaf(*verb).output for verb in (["check"], ["curate"], ["status"], ["report"])]
        said.append(terminal.goldleaf("explain", "data.jsonl:2").output)
        is_well = False
        said.append(terminal.error("curate"))
        said.append(terminal.goldleaf("check", exit_code=1).output)
    assert f"http://{server_name}/data.jsonl:2" in said[4] and f"http://{server_name}/exam.jsonl:1" in said[4]
    assert f"source 'examples': http://{server_name}/data.jsonl cannot be fetched, the server answered 500" in said[5]
    assert not [text for text in said if SECRET in text]
    assert places_with_secrets(terminal.home) == []


def test_a_server_that_repeats_the_secret_does_not_make_us_show_it(
    home_at: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Telling(Handler):
        def do_GET(self) -> None:  # noqa: N802 (the base class asks for this name)
            self.send_response(403, f"no {SECRET} here")
            self.end_headers()

    monkeypatch.setattr("loopback.Handler", Telling)
    with serving(lambda *_: (200, {}, b"")) as server, pytest.raises(SourceError) as caught:
        home_at.ingest(Source(name="s", path=f"{server.url}/data.jsonl?key={SECRET}#rows"))
    assert str(caught.value) == (
        f"source 's': {server.url}/data.jsonl cannot be fetched, the server answered 403 no … here; set its `auth`, "
        "or correct its path"
    )


@pytest.fixture
def home_at(tmp_path: Path) -> Home:
    return Home(tmp_path)


# --- homes of before --------------------------------------------------------------------------------
@pytest.fixture
def old_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A home whose tables name the whole URL."""
    with serving(lambda method, path, body: (200, {}, COPY if path.startswith("/exam") else BODY)) as server:
        write_source(
            tmp_path, f"{server.url}/data.jsonl?token={SECRET}", evaluation=f"{server.url}/exam.jsonl?k={SECRET}"
        )
        terminal = Terminal(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(sources, "shown_path", lambda source: source.path)
            patch.setattr(ingest_sources, "clean", lambda store: None)
            terminal.goldleaf("curate")
            (tmp_path / "dataset.yaml").write_text((tmp_path / "dataset.yaml").read_text().replace("key: id, ", ""))
            terminal.goldleaf("curate")
            # What was read is kept once the rows have their new keys.
            terminal.goldleaf("curate")
            terminal.goldleaf("report")
        yield terminal


def test_the_next_run_cleans_a_home_of_before_and_every_version_of_its_tables_stays(old_home: Terminal) -> None:
    tables = old_home.home / "questions" / "tables"
    before = {name: pl.read_delta(str(tables / name), version=1).height for name in ("records", "evaluations")}
    assert len(places_with_secrets(old_home.home)) >= 8
    result = old_home.json("curate", "--full")
    assert (result["added"], result["withdrawn"]) == (0, 0)
    assert places_with_secrets(old_home.home) == []
    assert {name: pl.read_delta(str(tables / name), version=1).height for name in before} == before
    assert "/exam.jsonl:1" in old_home.goldleaf("explain", "2").output


def test_a_run_that_is_killed_while_it_cleans_loses_nothing(
    old_home: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = old_home.json("status")["raw"]
    replacing, left = table_rewriting.replacing, 0

    def breaks_later(*args: object, **more: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return replacing(*args, **more)  # type: ignore[arg-type]

    for done in range(4):
        left = done
        with monkeypatch.context() as patch:
            patch.setattr(table_rewriting, "replacing", breaks_later)
            old_home.goldleaf("curate", "--full", exit_code=None)
        assert old_home.json("status")["raw"] == counted
    old_home.goldleaf("curate", "--full")
    assert places_with_secrets(old_home.home) == []


# --- the right way ----------------------------------------------------------------------------------
def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


@contextmanager
def guarded(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], Reply]
) -> Iterator[tuple[Server, list[dict[str, str]]]]:
    """A server that notes the headers of each request."""
    seen: list[dict[str, str]] = []

    class Noting(Handler):
        def do_GET(self) -> None:  # noqa: N802 (the base class asks for this name)
            seen.append({name.lower(): value for name, value in self.headers.items()})
            self.reply()

    monkeypatch.setattr("loopback.Handler", Noting)
    with serving(lambda method, path, body: answer(path)) as server:
        yield server, seen


@pytest.mark.parametrize(
    ("more", "variable", "shown"),
    [
        (", auth: LOGS_TOKEN", f"{SECRET}-1", ("authorization", f"Bearer {SECRET}-1")),
        (", auth: LOGS_TOKEN", f"me:{SECRET}", ("authorization", basic(f"me:{SECRET}"))),
        (", auth: LOGS_TOKEN", f"Token {SECRET}", ("authorization", f"Token {SECRET}")),
        (", headers: {X-Api-Key: LOGS_TOKEN}", SECRET, ("x-api-key", SECRET)),
        ("", "", ("authorization", basic(f"me:{SECRET}"))),
    ],
)
def test_a_secret_of_the_environment_is_sent_and_never_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, variable: str, shown: tuple[str, str]
) -> None:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    if variable:
        monkeypatch.setenv("LOGS_TOKEN", variable)
    with guarded(monkeypatch, lambda path: (200, {}, BODY)) as (server, seen):
        write_source(tmp_path, f"{server.url}/data.jsonl", more)
        terminal = Terminal(tmp_path)
        said = terminal.goldleaf("check").output + terminal.goldleaf("curate").output
    assert [one.get(shown[0]) for one in seen] == [shown[1]] * 2
    assert SECRET not in said and places_with_secrets(terminal.home) == []


def test_another_token_changes_no_record_and_nothing_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda *_: (200, {}, BODY)) as server:
        terminal = Terminal(tmp_path)
        monkeypatch.setenv("NEW_TOKEN", SECRET)
        write_source(tmp_path, f"http://a:b@{server.url.removeprefix('http://')}/data.jsonl?token=1")
        terminal.goldleaf("curate")
        write_source(tmp_path, f"{server.url}/data.jsonl?token=2", ", auth: NEW_TOKEN")
        result = terminal.json("curate")
    assert (result["added"], result["withdrawn"], result["decided"]) == (0, 0, 0)
    assert (result["looked"]["changed"], result["looked"]["why"]) == (0, "")


def test_a_variable_that_is_not_set_and_a_secret_in_its_place_are_one_line(tmp_path: Path) -> None:
    write_source(tmp_path, "http://127.0.0.1:9/data.jsonl", ", auth: LOGS_TOKEN")
    terminal = Terminal(tmp_path)
    assert terminal.error("curate") == (
        "source 'examples': the variable LOGS_TOKEN, which its `auth` names, is not set; set it in the environment or "
        "in .env"
    )
    write_source(tmp_path, "http://127.0.0.1:9/data.jsonl", f", headers: {{X-Api-Key: '{SECRET}-1'}}")
    said = terminal.error("curate")
    assert "it names the environment variable that holds the secret, such as LOGS_TOKEN" in said
    assert SECRET not in said
    write_source(tmp_path, "data.jsonl", ", auth: LOGS_TOKEN")
    assert "`auth` and `headers` are for an http(s) URL" in terminal.error("curate")


@pytest.mark.parametrize("path", [f"s3://me:{SECRET}@bucket/a.jsonl", f"GS://bucket/*.jsonl?{SECRET}", "hf://data"])
def test_a_store_that_is_not_supported_yet_is_said_to_be_so(home_at: Home, path: str) -> None:
    with pytest.raises(SourceError) as caught:
        home_at.ingest(Source(name="s", path=path))
    assert str(caught.value) == (
        f"source 's': {path.partition('//')[0]}// is not supported yet; name an http(s) URL, such as a signed one, or "
        "download the files and name these"
    )


# --- redirects --------------------------------------------------------------------------------------
def test_no_other_server_gets_the_secrets_and_the_same_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGS_TOKEN", SECRET)
    more = ", auth: LOGS_TOKEN, headers: {X-Api-Key: LOGS_TOKEN}"

    def answer(path: str) -> Reply:
        if path == "/here.jsonl":
            return 302, {"location": f"/there.jsonl?signature={SECRET}"}, b""
        if path.startswith("/there.jsonl"):
            return 307, {"location": server.url.replace("127.0.0.1", "localhost") + "/far.jsonl"}, b""
        return 200, {}, BODY

    with guarded(monkeypatch, answer) as (server, seen):
        write_source(tmp_path, f"{server.url}/here.jsonl", more)
        Terminal(tmp_path).goldleaf("curate")
    shown = [[one.get(name) for name in ("authorization", "x-api-key")] for one in seen]
    assert shown == [[f"Bearer {SECRET}", SECRET], [f"Bearer {SECRET}", SECRET], [None, None]]


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate for this machine, and its key, that is trusted in the test."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file


@contextmanager
def encrypted(certificate: Path, answer: Callable[[str, str, bytes], Reply]) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Server(answer) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.url.replace("http://", "https://")
        finally:
            server.shutdown()
            thread.join()


def test_https_never_goes_on_as_http(home_at: Home, certificate: Path) -> None:
    asked: list[str] = []

    def plain(method: str, path: str, body: bytes) -> Reply:
        asked.append(path)
        return 200, {}, BODY

    def moved(method: str, path: str, body: bytes) -> Reply:
        return (200, {}, BODY) if path == "/data.jsonl" else (302, {"location": to[path]}, b"")

    with serving(plain) as open_one, encrypted(certificate, moved) as url:
        to = {"/safe.jsonl": "/data.jsonl", "/open.jsonl": f"{open_one.url}/data.jsonl?signature={SECRET}"}
        assert home_at.ingest(Source(name="s", path=f"{url}/safe.jsonl", key="id")).added == 2
        with pytest.raises(SourceError) as caught:
            home_at.ingest(Source(name="s", path=f"{url}/open.jsonl", key="id"))
    assert str(caught.value) == (
        f"source 's': {url}/open.jsonl cannot be fetched (it redirects from https to {open_one.url}/data.jsonl, which "
        "anybody on the way could read and change); name an https address"
    )
    assert asked == []
