"""The arms of a dataset.yaml are what the adapter is compared with; a list that cannot be compared is refused."""

from pathlib import Path

import pytest
from support import row, write_dataset

from pipeline.config.dataset_file import LoadedDataset, load_dataset_file
from pipeline.errors import ConfigError
from schemas.arms_section import ArmName, EndpointArm, Family, Limits, LocalArm, StatedArm
from schemas.dataset import Dataset

OURS = "majority, linear, nearest, zero_shot, few_shot, adapter, adapter_linear, adapter_free"
NEITHER = (
    f"an arm is one of {OURS}, or a section with the key arm (one of these), endpoint (a model elsewhere) or stated (a "
    "score and its source), got "
)
ELSEWHERE = "name: big, endpoint: 'https://models.example/v1', model: large"


def loaded(folder: Path, more: str) -> LoadedDataset:
    write_dataset(folder, [row(1, "Where is it?", "delivery")], more)
    return load_dataset_file(folder / "dataset.yaml")


def with_arm(arm: str) -> str:
    """The section, the adapter in its first entry and this in its second one."""
    return f"arms:\n  - adapter\n  - {{{arm}}}\n"


def test_without_a_list_all_arms_of_ours_are_compared_the_quick_ones_first(tmp_path: Path) -> None:
    arms = loaded(tmp_path, "").config.arms
    assert ", ".join(arm.name for arm in arms) == OURS
    families = [arm.arm.family for arm in arms if isinstance(arm, LocalArm)]
    assert families == [Family.CLASSICAL] * 3 + [Family.PROMPT] * 2 + [Family.TUNED] * 3


def test_an_arm_is_a_bare_name_or_an_object(tmp_path: Path) -> None:
    text = "arms: [adapter, {arm: few_shot, examples: 3}, {" + ELSEWHERE + "}, {name: paper, stated: 0.9, source: p}]\n"
    config = loaded(tmp_path, text).config
    assert config.arms == (
        LocalArm(arm=ArmName.ADAPTER),
        LocalArm(arm=ArmName.FEW_SHOT, examples=3),
        EndpointArm(name="big", endpoint="https://models.example/v1", model="large"),
        StatedArm(name="paper", stated=0.9, source="p"),
    )
    assert [arm.name for arm in config.arms] == ["adapter", "few_shot", "big", "paper"]
    assert Dataset.model_validate(config.model_dump(mode="json")) == config


def test_what_is_compared_changes_no_decision_of_a_curate_run(tmp_path: Path) -> None:
    before = loaded(tmp_path, "").curation_digest
    after = loaded(tmp_path, "arms: [adapter]\nverdict: {target: 0.9}\nfinetune: {slow_rows: 9}\n")
    assert after.curation_digest == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "arms: [majority, majority, adapter]\n",
            "5: arms: two arms are called 'majority'; give one of them another name",
        ),
        (
            f"arms: [adapter, {{{ELSEWHERE}}}, {{{ELSEWHERE}}}]\n",
            "5: arms: two arms are called 'big'; give one of them another name",
        ),
        (
            with_arm(ELSEWHERE.replace("big", "linear")),
            "5: arms: 'linear' is the name of an arm of ours; give the endpoint another name",
        ),
        (
            with_arm(ELSEWHERE.replace("big", "gold")),
            "5: arms: 'gold' is a column of predictions.parquet, as every arm has; give it another name",
        ),
        (
            "verdict: {target: 90}\n",
            "5: the score is 90, but accuracy is at most 1; 90% is 0.9",
        ),
        (
            "arms:\n  - adapter\n  - {name: paper, stated: 87.5, source: p}\n",
            "7: the score is 87.5, but accuracy is at most 1; 87.5% is 0.875",
        ),
        (
            "arms: [majority]\n",
            "5: arms: the adapter is not among the arms, and the others are there to be compared with it; add it "
            "(`goldleaf baselines` compares them alone)",
        ),
        (
            "arms: [adapter, lineer]\n",
            "5: arms.1.arm: Input should be 'majority', 'linear', 'nearest', 'zero_shot', 'few_shot', 'adapter', "
            "'adapter_linear' or 'adapter_free', got 'lineer'",
        ),
        ("arms: [adapter, 3]\n", f"5: arms.1: {NEITHER}3"),
        ("arms:\n  - adapter\n  -\n", f"7: arms.1: {NEITHER}None"),
        (with_arm("name: big"), f"7: arms.1: {NEITHER}{{'name': 'big'}}"),
        (
            "arms: adapter\n",
            "5: 'arms' is a list; begin each of its entries with `- `, even a single one; it has the keys arm, "
            "examples",
        ),
        (
            with_arm("arm: few_shot, example: 3"),
            "7: arms.1: 'example' is not a known key of such an arm; use one of arm, examples",
        ),
        (
            with_arm(f"{ELSEWHERE}, exampels: 3"),
            "7: arms.1: 'exampels' is not a known key of such an arm; use one of api_key_env, endpoint, examples, "
            "max_tokens, model, name, options, parallel, timeout",
        ),
        (
            with_arm("arm: few_shot, examples: 101"),
            "7: arms.1.examples: Input should be less than or equal to 100, got 101",
        ),
        (
            with_arm(ELSEWHERE.replace("https", "ftp")),
            "7: arms.1.endpoint: 'ftp://models.example/v1' is not an address; write http(s)://host[:port]/v1",
        ),
        (
            with_arm(ELSEWHERE.replace("models", "user:secret@models")),
            "7: arms.1.endpoint: the address of the endpoint must not hold a key; put it into an environment variable",
        ),
        (
            with_arm(f"{ELSEWHERE}, options: {{messages: []}}"),
            "7: arms.1.options: 'messages' is not yours to set in options; Goldleaf writes it",
        ),
        (with_arm("name: big, endpoint: 'https://m.example/v1'"), "7: 'arms.1.model' is missing; it is required"),
        (with_arm("name: paper, stated: 0.9"), "7: 'arms.1.source' is missing; it is required"),
        (
            with_arm("name: paper, stated: 0.9, source: ''"),
            "7: arms.1.source: String should have at least 1 character, got ''",
        ),
        (
            with_arm("name: paper, stated: 90%, source: p"),
            "7: arms.1.stated: Input should be a valid number, unable to parse string as a number, got '90%'",
        ),
        (
            "verdict: {max_cost: 3}\n",
            "5: verdict: verdict.max_cost needs verdict.prices, the file with what a call costs",
        ),
        (
            "verdict: {prices: 'https://x.example/p.yaml'}\n",
            "5: verdict.prices: 'https://x.example/p.yaml' is an address; name a file next to the dataset.yaml",
        ),
        ("verdict: {margin: 2}\n", "5: verdict.margin: Input should be less than 1, got 2"),
        (
            "verdict: {max_second: 3}\n",
            "5: 'verdict.max_second' is not a known key; did you mean max_seconds? Else use one of margin, max_cost, "
            "max_seconds, prices, target",
        ),
        ("finetune: {slow_rows: 0}\n", "5: finetune.slow_rows: Input should be greater than 0, got 0"),
    ],
    ids=[
        "two of one name",
        "two endpoints of one name",
        "an endpoint with a name of ours",
        "an endpoint with the name of a column",
        "a target in percent",
        "a stated score in percent",
        "no adapter",
        "an unknown name",
        "a number",
        "nothing",
        "no kind of arm",
        "no list",
        "a typo in an arm of ours",
        "a typo in an endpoint",
        "too many examples",
        "no web address",
        "a key in the address",
        "an option of ours",
        "an endpoint without a model",
        "a figure without a source",
        "an empty source",
        "a figure in words",
        "a limit without prices",
        "prices elsewhere",
        "a margin of two hundred points",
        "a typo in the verdict",
        "no slow rows",
    ],
)
def test_a_mistake_is_one_line_that_says_what_and_where(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, text)
    assert str(error.value) == f"{tmp_path}/dataset.yaml:{said}"


def test_an_endpoint_is_asked_as_one_that_suggests_is() -> None:
    arm = EndpointArm(name="big", endpoint="https://m.example/v1", model="large", parallel=2, options={"top_p": 0.5})
    asked = arm.asked
    assert (asked.endpoint, asked.model, asked.parallel, asked.options) == (arm.endpoint, "large", 2, {"top_p": 0.5})


def test_two_points_matter_and_nothing_is_forbidden_unless_it_is_said() -> None:
    limits = Limits()
    assert (limits.margin, limits.target, limits.max_cost, limits.max_seconds) == (0.02, None, None, None)
