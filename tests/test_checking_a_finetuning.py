"""What fine-tuning needs is looked for by `check`: a typo shows before a version is published, not after."""

import sys
from pathlib import Path

import pytest
from checked import edit, findings
from model_server import completion, model_server
from support import row, write_dataset
from terminal import Terminal

ROWS = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", ("billing", "returns")[n % 2]) for n in range(20)]


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_what_the_file_does_not_name_is_not_looked_for(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, "finetune: {epochs: 3}\narms: [majority, adapter]\n")
    assert not [what for what in findings(tmp_path) if what.startswith(("finetune", "arms", "verdict"))]


def test_a_base_model_is_looked_for_from_the_dataset_yaml(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, "finetune: {base_model: ./mine}\n")
    found = findings(tmp_path, exit_code=1)["finetune.base_model"]
    assert found["detail"] == f"there is no model folder {tmp_path}/mine; fix finetune.base_model" and not found["ok"]
    (tmp_path / "mine").mkdir()
    assert findings(tmp_path)["finetune.base_model"]["detail"] == f"the folder {tmp_path}/mine"
    edit(tmp_path, "./mine", "org/theirs")
    found = findings(tmp_path)["finetune.base_model"]
    assert "looks for org/theirs in Hugging Face's cache" in found["detail"] and not found["warning"]


def test_a_base_model_that_is_nearly_the_bundled_one_is_marked_and_the_right_name_said(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, "finetune: {base_model: smollm2-135m}\n")
    found = findings(tmp_path)["finetune.base_model"]
    assert found["ok"] and found["warning"]
    assert found["detail"].endswith("did you mean smollm2-135m-instruct, which needs no download?")


def test_a_typo_in_the_price_file_fails_and_a_model_without_a_price_is_named(tmp_path: Path) -> None:
    with model_server(lambda request, number: completion("")) as server:
        arm = f"{{name: frontier, endpoint: '{server.endpoint}', model: small}}"
        write_dataset(tmp_path, ROWS, f"arms: [{arm}, adapter]\nverdict: {{prices: prices.yaml}}\n")
        prices = tmp_path / "prices.yaml"
        prices.write_text("machine_hour: 0,4\n")
        assert f"{prices}:1: machine_hour: " in findings(tmp_path, exit_code=1)["verdict.prices"]["detail"]
        prices.write_text("machine_hour: 0.4\nmodels: {smal: {input: 1, output: 2}}\n")
        found = findings(tmp_path)["verdict.prices"]
        assert found["warning"] and found["detail"] == (
            "in USD: 0.4 an hour, 1 model; what small costs is not known: add it under models, as the server calls it"
        )
        prices.write_text("machine_hour: 0.4\nmodels: {small: {input: 1, output: 2}}\n")
        assert findings(tmp_path)["verdict.prices"] | {"detail": ""} == {
            "what": "verdict.prices",
            "ok": True,
            "warning": False,
            "detail": "",
        }
        assert not server.asked


def test_an_endpoint_of_an_arm_is_looked_for_and_its_absence_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSE_KEY", "sk-1")
    with model_server(lambda request, number: completion("")) as server:
        arm = f"{{name: frontier, endpoint: '{server.endpoint}', model: small, api_key_env: HOUSE_KEY}}"
        write_dataset(tmp_path, ROWS, f"arms: [{arm}, adapter]\n")
        found = findings(tmp_path)["arms.frontier"]
        assert found["detail"] == f"model small at {server.endpoint}, which lists it; the key is in HOUSE_KEY"
        assert server.headers_seen[-1]["authorization"] == "Bearer sk-1"
        edit(tmp_path, "model: small", "model: smal")
        assert "see whether arms.frontier.model is right" in findings(tmp_path)["arms.frontier"]["detail"]
    found = findings(tmp_path)["arms.frontier"]
    assert (found["ok"], found["warning"]) == (True, True)
    assert found["detail"].endswith("; start the server, or correct arms.frontier.endpoint")
    assert "next: look at what is marked !, then goldleaf curate" in Terminal(tmp_path).goldleaf("check").stdout


def test_a_key_that_the_section_does_not_have_is_named_with_the_section_and_the_likeliest_one(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, "finetune:\n  rank: 8\n  epoch: 3\n")
    place = f"{tmp_path}/dataset.yaml:7: "
    said = Terminal(tmp_path).error("check")
    assert said.startswith(f"{place}'finetune.epoch' is not a known key; did you mean epochs? Else use one of accumul")
    edit(tmp_path, "epoch", "colour")
    said = Terminal(tmp_path).error("check")
    assert said.startswith(f"{place}'finetune.colour' is not a known key; use one of accumulate, alpha, ")


@pytest.mark.parametrize(
    ("lora", "said"),
    [
        (
            "use_rslore: true",
            "finetune.lora sets use_rslore, which PEFT's LoraConfig does not have; did you mean use_rslora",
        ),
        ("use_rslora: perhaps", "finetune.lora.use_rslora is 'perhaps', but PEFT takes bool; correct it"),
    ],
)
def test_a_wrong_key_of_lora_is_an_error_of_its_line_before_anything_is_loaded(
    lora: str, said: str, tmp_path: Path
) -> None:
    write_dataset(tmp_path, ROWS, "finetune:\n  base_model: ./nowhere\n")
    shop = Terminal(tmp_path)
    shop.goldleaf("curate", "--no-push")
    shop.goldleaf("release")
    file = tmp_path / "dataset.yaml"
    file.write_text(f"{file.read_text()}  lora:\n    lora_dropout: 0.1\n    {lora}\n")
    place = f"{file}:{len(file.read_text().splitlines())}: "
    found = findings(tmp_path, exit_code=1)["finetune.lora"]
    assert found["detail"].startswith(place + said) and not found["ok"]
    # A model that is looked for would be said to be absent.
    for command in (["preflight", "questions@1.0.0"], ["finetune"]):
        assert shop.error(*command).startswith(place + said), command


def test_keys_of_lora_that_peft_takes_are_named(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, "finetune: {lora: {use_rslora: true, lora_dropout: 0.1}}\n")
    found = findings(tmp_path)["finetune.lora"]
    assert (found["ok"], found["detail"]) == (True, "PEFT takes use_rslora, lora_dropout")


def test_a_check_without_peft_says_that_lora_was_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    write_dataset(tmp_path, ROWS, "finetune: {lora: {use_rslora: true}}\n")
    found = findings(tmp_path)["finetune.lora"]
    assert (found["ok"], found["warning"]) == (True, True)
    assert found["detail"].startswith("not tried: Fine-tuning needs the Python package 'peft'")
