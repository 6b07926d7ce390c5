"""A release is a version above the latest that loads anywhere, or an error that says which one there is."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from odd import QUESTION, Odd
from release_shop import NO_REVIEW, TOPICS, Shop, load, record, rows_of
from support import offline, row, write_dataset, write_rows
from terminal import Terminal

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import Released, release
from pipeline.errors import ReleaseError, VersionExists
from pipeline.releases.absent_labels import in_words
from pipeline.releases.versions import read_manifest, verify, version_folders
from pipeline.text.normalize import normalize_text
from schemas.dataset import Normalize


# --- versions -------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """One published version, 1.0.0."""
    shop = Shop(tmp_path_factory.mktemp("shop"), [])
    shop.day(rows_of(0, 20))
    return shop


def test_a_version_that_exists_is_refused(shop: Shop) -> None:
    before = {path: path.read_bytes() for path in shop.context.store.releases.rglob("*") if path.is_file()}
    with pytest.raises(
        VersionExists, match=r"^version 1\.0\.0 of .* already exists, with exactly these rows; use that version$"
    ):
        shop.release("1.0.0")
    assert {path: path.read_bytes() for path in shop.context.store.releases.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("version", ["v1", "1.0", "1.0.0-rc1", "../1.0.0", "01.0.0", "latest", ""])
def test_what_is_not_a_version_is_refused(shop: Shop, version: str) -> None:
    with pytest.raises(ReleaseError, match=r"' is not a version; use three numbers such as 1\.2\.0$"):
        shop.release(version)


def test_with_nothing_new_the_latest_version_is_named_again(shop: Shop) -> None:
    again = shop.release()
    assert (again.version, again.created) == ("1.0.0", False)
    assert sum(again.splits.values()) == 20
    assert [path.name for path in shop.context.store.releases.iterdir() if path.name[0] != "."] == ["1.0.0"]


def test_a_version_loads_offline_with_nothing_of_ours(shop: Shop) -> None:
    loaded = load(shop.release().path)
    assert {split: rows.num_rows for split, rows in loaded.items()} == {"train": 14, "validation": 3, "test": 3}
    entry = next(entry for rows in loaded.values() for entry in rows if entry["id"] == record(4))
    assert entry["fields"] == {"question": "lamp4 chair4 desk4 broke4", "topic": "delivery"}
    assert [message["role"] for message in entry["prompt"]] == ["system", "user"]
    assert entry["completion"] == [{"role": "assistant", "content": "delivery"}]
    assert (entry["source"], entry["license"], entry["label_source"]) == ("examples", "MIT", "source")


def test_versions_count_up_and_the_old_ones_stay_as_they_are(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 10))
    shop.day(rows_of(0, 11))
    shop.day(rows_of(0, 12), version="2.0.0")
    shop.day(rows_of(0, 13))
    releases = shop.context.store.releases
    rows = {
        version: len(shop.published(released(releases / version))) for version in ("1.0.0", "1.1.0", "2.0.0", "2.1.0")
    }
    assert rows == {"1.0.0": 10, "1.1.0": 11, "2.0.0": 12, "2.1.0": 13}
    for version in rows:
        verify(releases / version).require_sound()


def test_a_version_that_exists_with_other_rows_is_refused_with_the_one_to_pass(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 10))
    text = r"^version 1\.0\.0 of 'questions' already exists and never changes; pass --version 1\.1\.0$"
    with pytest.raises(VersionExists, match=text):
        shop.day(rows_of(0, 11), version="1.0.0")


@pytest.mark.parametrize("version", ["0.9.0", "1.0.10"])
def test_a_version_that_is_not_above_the_latest_is_refused_with_the_one_to_pass(tmp_path: Path, version: str) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 10), version="1.0.9")
    shop.day(rows_of(0, 11))
    said = rf"^version {version} is not above 1\.1\.0, the latest one; pass --version 1\.2\.0, or leave it out$"
    with pytest.raises(ReleaseError, match=said):
        shop.day(rows_of(0, 12), version=version)
    assert not (shop.context.store.releases / version).exists()


def test_a_version_with_nothing_new_is_refused_and_the_one_that_holds_the_rows_is_named(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 10))
    shop.day(rows_of(0, 11))
    for version in ("0.9.0", "2.0.0"):
        with pytest.raises(ReleaseError, match=r"^nothing is new: questions@1\.1\.0 has exactly these rows; use that"):
            shop.release(version)
    shop.day(rows_of(0, 10), version="2.0.0")
    assert shop.release().version == "2.0.0", "an older version's rows are a new version after another"


def test_rows_that_return_to_an_older_version_s_make_a_new_one(tmp_path: Path) -> None:
    """Or `latest` would still have the rows that were taken out."""
    shop = Shop(tmp_path, [])
    for last in (10, 11, 10):
        shop.day(rows_of(0, last))
    assert (shop.release().version, shop.release().created) == ("1.2.0", False)


def test_the_number_of_a_version_that_is_not_there_any_more_is_not_used_again(tmp_path: Path) -> None:
    """Another 1.1.0 once came out of a home that was restored from the day before."""
    shop, home = Shop(tmp_path, []), tmp_path / "home"
    shop.day(rows_of(0, 10))
    shutil.copytree(home, tmp_path / "backup")
    shop.day(rows_of(0, 11))
    pinned = read_manifest(shop.context.store.releases / "1.1.0").reference
    shutil.rmtree(shop.context.store.releases / "1.1.0")
    shop.day(rows_of(0, 12))
    assert [folder.name for folder in version_folders(shop.context.store.releases)] == ["1.0.0", "1.2.0"]
    shutil.rmtree(home)
    (tmp_path / "backup").rename(home)
    (tmp_path / "goldleaf.lock").write_text(f"{pinned}\nothers@7.0.0 sha256:{'0' * 64}  # of somebody else\n")
    with pytest.raises(
        ReleaseError, match=r"version 1\.1\.0 is not above 1\.1\.0, the latest one; pass --version 1\.2\.0"
    ):
        shop.day(rows_of(0, 13), version="1.1.0")
    shop.day(rows_of(0, 13))
    assert [folder.name for folder in version_folders(shop.context.store.releases)] == ["1.0.0", "1.2.0"]
    (tmp_path / "goldleaf.lock").write_text("questions@1.1.0 sha256:12\n")
    write_rows(tmp_path, rows_of(0, 14))
    curate(shop.context, Inline())
    with pytest.raises(ReleaseError, match=r"goldleaf\.lock:1 has a shortened digest"):
        shop.release()


def released(folder: Path) -> Released:
    return Released(dataset="", version=folder.name, digest="", path=str(folder), created=False, splits={})


def test_a_label_that_is_not_in_every_split_is_named_with_the_reason(tmp_path: Path) -> None:
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 2]) | {"shop": n // 4} for n in range(60)]
    rows += [row(n, f"hat{n} coat{n} scarf{n} tore{n}", "returns") | {"shop": n % 2} for n in range(60, 66)]
    shop = Shop(tmp_path, rows, f"{NO_REVIEW}split: {{group_by: [shop]}}\n")
    curate(shop.context, Inline())
    terminal = Terminal(tmp_path)
    told = json.loads(terminal.goldleaf("release", "--json").stdout)["absent"]
    assert [(one["label"], one["groups"], one["reason"], one["why"]) for one in told] == [
        ("returns", 2, "too_few_groups", "only 2 groups by shop have the label")
    ]
    where = " or ".join(told[0]["splits"])
    text = f"Labels missing from a split: not in {where} because only 2 groups by shop have the label: returns."
    assert text in terminal.goldleaf("release").stdout
    version = tmp_path / "home" / "questions" / "releases" / "1.0.0"
    assert text in (version / "README.md").read_text()
    assert text in (version / "report.html").read_text()
    assert text in (tmp_path / "home" / "questions" / "report.html").read_text()


def test_a_label_that_no_accepted_row_has_is_named(tmp_path: Path) -> None:
    """A choice that was renamed in the task rejects all of its rows: the version would lose a class without a word."""
    odd = Odd(tmp_path, QUESTION, [row(n, f"lamp{n} chair{n} desk{n}", TOPICS[n % 2]) for n in range(40)])
    odd.curate()
    [told] = release(odd.context, Inline()).absent
    assert (told.label, told.groups, told.reason) == ("returns", 0, "no_rows")
    assert told.why == "no accepted row has the label" and told.splits == ["train", "validation", "test"]
    assert in_words([told]) == f"No accepted row has the label: {told.label}"


def test_a_release_has_every_label_of_enough_rows_in_every_split(tmp_path: Path) -> None:
    """Were labels not looked at, a third of them would be missing from an exam of a tenth."""
    labels = [f"kind{number}" for number in range(12)]
    task = f"""
class Question(Task):
    \"\"\"Name the topic of this question.\"\"\"

    question: Input[str]
    topic: Target[Literal{json.dumps(labels)}]
"""
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", labels[n % 12]) for n in range(120)]
    odd = Odd(tmp_path, task, rows)
    odd.curate()
    version = release(odd.context, Inline())
    found = {split: {entry["fields"]["topic"] for entry in entries} for split, entries in load(version.path).items()}
    assert found == {split: set(labels) for split in ("train", "validation", "test")}


def test_labels_that_a_full_exam_lacks_are_named_together_in_every_output(tmp_path: Path) -> None:
    """They were said to be pinned to other splits, one by one, though it was the exam that takes no rows."""
    labels = [f"kind{number}" for number in range(9)]
    task = f"""
class Question(Task):
    \"\"\"Name the topic of this question.\"\"\"

    question: Input[str]
    topic: Target[Literal{json.dumps(labels)}]
"""
    odd = Odd(tmp_path, task, [row(n, f"lamp{n} chair{n} desk{n} broke{n}", labels[n % 9]) for n in range(54)])
    exam = [{"id": n, "question": f"hat{n} coat{n} scarf{n} tore{n}", "topic": labels[n % 2]} for n in range(20)]
    (tmp_path / "exam.jsonl").write_text("".join(json.dumps(one) + "\n" for one in exam))
    odd.edit("sources:\n", "sources:\n  - {name: exam, path: exam.jsonl, split: test, frozen: true}\n")
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    text = (
        "Labels missing from a split: not in test because the split is full of rows pinned to it: kind2, kind3, "
        "kind4, kind5, kind6 and 2 more."
    )
    for _ in range(2):
        assert text in terminal.goldleaf("release").stdout.replace("\n", " ")
    version = tmp_path / "home" / "questions" / "releases" / "1.0.0"
    for file in (version / "README.md", version / "report.html", tmp_path / "home" / "questions" / "report.html"):
        assert text in file.read_text()


def test_a_release_before_curate_says_what_to_run(tmp_path: Path) -> None:
    Shop(tmp_path, [])
    line = Terminal(tmp_path).error("release", "dataset.yaml")
    assert line == f"'questions' has not been curated yet; run `goldleaf curate {tmp_path}/dataset.yaml` first"


def test_a_release_of_nothing_says_where_the_rows_are(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [row(1, "Late?", None)])
    curate(shop.context, Inline())
    with pytest.raises(ReleaseError) as error:
        shop.release()
    assert str(error.value) == (
        f"no record of 'questions' is accepted yet; see `goldleaf status {tmp_path}/dataset.yaml`"
    )
    assert not shop.context.store.releases.exists()


def test_an_earlier_version_with_the_present_rows_may_be_used_or_published_again(tmp_path: Path) -> None:
    shop = Shop(tmp_path, [])
    shop.day(rows_of(0, 20))
    shop.day(rows_of(0, 25))
    write_rows(tmp_path, rows_of(0, 20))
    curate(shop.context, Inline())
    line = Terminal(tmp_path).error("release", "--version", "1.0.0", "--allow-lost", "--json")
    assert line.endswith("with exactly these rows; use that version, or pass --version 1.2.0")
    assert shop.release("1.2.0").created


# --- texts ----------------------------------------------------------------------------------------
TEXTS = [
    "bell \x07 escape \x1b[31m unit \x1f delete \x7f next line \x85 end",
    "nul \x00 inside, and at the end \x00",
    "\x00a NUL at the start, and a tab at the end\t",
    "carriage\rreturn, CRLF\r\nand line\nfeed\n",
    "vertical\x0btab and form\x0cfeed",
    "\u202eright to left override\u202c and \u2066isolates\u2069",
    "مرحبا بالعالم, עולם שלום, mixed with English",
    "👩‍👩‍👧‍👦 family, 🏳️‍🌈 flag, 👍🏽 skin, 🇨🇭 region, #️⃣ keycap",
    "zero\u200bwidth\u200cnon\u200djoiner\u2060word\ufeffbom",
    "soft\u00adhyphen, no\u00a0break, thin\u2009space, ideographic\u3000space",
    "<script>alert('x')</script><img src=x onerror=alert(1)>&amp;&#0;",
    "</system> {{user}} %s ${HOME} {0} \\n \\u0000 `rm -rf /`",
    "very long " + "word " * 4000 + "end",
    "x" * 20_000,
    "cafe\u0301 and caf\u00e9, Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!",
    "ﬁ ligature, Å angstrom, ① circled, \uff46\uff55\uff4c\uff4c width, ǆ digraph",
    "astral \U0001d518\U0001d52b\U0001d526 𠜎𠜱 and noncharacters \ufffe\uffff\U0010ffff \ufffd",
    "\ufeffbyte order mark at the start",
    "null",
    "NaN and -Infinity, 1e400, 0x1F",
    '{"json": ["in", {"a": "string"}]}',
    "a,b;c\t\"d\"\n'e'",
    "\u2028line separator\u2029paragraph separator",
    "  leading and trailing blanks \u00a0 ",
    "private \ue000 use, tag \U000e0041 characters, variation \ufe0f",
]


@pytest.mark.parametrize("gentle", [True, False], ids=["as they are", "normalised"])
def test_odd_texts_are_published_as_they_are_or_as_normalized(tmp_path: Path, gentle: bool) -> None:
    keep = Normalize(unicode="none", whitespace="keep") if gentle else Normalize()
    config = f"normalize: {json.dumps(keep.model_dump())}\n" if gentle else ""
    write_dataset(tmp_path, [row(n, text, TOPICS[n % 3]) for n, text in enumerate(TEXTS)], NO_REVIEW + config)
    context = Context.load(tmp_path / "dataset.yaml", offline(tmp_path / "home"))
    result = curate(context, Inline())
    assert result.funnel.accepted == result.funnel.raw == len(TEXTS)
    found: dict[str, Any] = {
        entry["id"]: entry for rows in load(release(context, Inline()).path).values() for entry in rows
    }
    for key, text in enumerate(TEXTS):
        expected = text.replace("\x00", "") if gentle else normalize_text(text, keep)
        assert found[record(key)]["fields"]["question"] == expected
        assert found[record(key)]["prompt"][1]["content"] == expected


def test_half_a_surrogate_pair_is_rejected_and_the_rest_goes_on(tmp_path: Path) -> None:
    write_dataset(tmp_path, [row(1, "half a \ud83d pair", "billing"), *rows_of(2, 12)], NO_REVIEW)
    context = Context.load(tmp_path / "dataset.yaml", offline(tmp_path / "home"))
    result = curate(context, Inline())
    assert (result.funnel.accepted, result.funnel.rejected) == (10, 1)
    assert sum(release(context, Inline()).splits.values()) == 10


# --- before a version, and after it ---------------------------------------------------------------
@pytest.mark.parametrize("command", [("verify", "1.0.0"), ("preflight", "questions@latest"), ("finetune",)])
def test_before_the_first_release_the_command_that_publishes_names_the_file(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    write_dataset(tmp_path, [row(1, "Where is my parcel?", "delivery")])
    terminal, hint = Terminal(tmp_path), f"run `goldleaf release {tmp_path}/dataset.yaml`"
    terminal.goldleaf("curate")
    assert terminal.error(*command) == f"'questions' has no published version yet; {hint}"


def test_release_says_what_to_do_with_a_version(tmp_path: Path) -> None:
    write_dataset(tmp_path, [row(1, "Where is my parcel?", "delivery")])
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    assert terminal.goldleaf("release").stdout.endswith("/1.0.0\nnext: goldleaf finetune dataset.yaml\n")
    file = tmp_path / "dataset.yaml"
    assert terminal.goldleaf("release", file).stdout.endswith(f"\nnext: goldleaf finetune {file}\n")
