"""A task's own code may do anything: what it raises or returns wrongly is its error, and never seems to be success."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from odd import QUESTION, Odd
from support import row
from terminal import Terminal

from pipeline.errors import TaskCodeError
from pipeline.kinds.registry import kind_of
from schemas.fate import Fate, ReasonCode
from schemas.user_code_errors import described, in_a_line, no_json, own

ROWS = [row(1, "Where is my parcel?", "delivery"), row(2, "Why was I charged twice?", "billing")]
ENDINGS = {
    "sys.exit(0)": "SystemExit: 0",
    "raise SystemExit": "SystemExit",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "raise GeneratorExit('over')": "GeneratorExit: over",
    "raise Mute": "Mute: its text cannot be read, which raises SystemExit",
    "raise RuntimeError(chr(0xd800))": "RuntimeError: \\ud800",
}
HEAD = """
import sys

class Mute(BaseException):
    def __str__(self):
        sys.exit(0)

def end(question):
""" + "".join(f"    if question[0] == '{number}': {ending}\n" for number, ending in enumerate(ENDINGS))
ENDED = [row(n, f"{n} rows of nails, {ending}", "delivery") for n, ending in enumerate([*ENDINGS, "none"])]


def method(name: str, arguments: str, body: str, decorator: str = "@classmethod") -> str:
    return f"\n    {decorator}\n    def {name}({arguments}):\n        {body}\n"


FIELD_VALIDATOR = '@field_validator("question")\n    @classmethod'
VALIDATOR = method("looked", "cls, value", "end(value)\n        return value", FIELD_VALIDATOR)
PLACES = {
    "validator": VALIDATOR,
    "model validator": method(
        "whole", "self", "end(self.question)\n        return self", '@model_validator(mode="after")'
    ),
    "serializer": method("written", "self, value", "end(value)\n        return value", '@field_serializer("question")'),
    "task_parse": method("task_parse", "cls, row", "end(row['question'])\n        return super().task_parse(row)"),
    "task_canonical": method(
        "task_canonical", "cls, row", "end(row['question'])\n        return super().task_canonical(row)"
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_code_that_ends_the_program_at_a_row_rejects_that_row_with_file_and_line(tmp_path: Path, place: str) -> None:
    odd = Odd(tmp_path, "from pydantic import field_serializer\n" + HEAD + QUESTION + PLACES[place], ENDED)
    funnel = Terminal(tmp_path).json("curate")["funnel"]
    assert (funnel["accepted"], funnel["rejected"]) == (1, len(ENDINGS))
    for number, said in enumerate(ENDINGS.values()):
        [reason] = odd[number].reasons
        assert reason.code is ReasonCode.INVALID
        assert said in reason.detail and "(task.py, line " in reason.detail, reason.detail


def test_a_soft_check_that_ends_the_program_holds_its_row(tmp_path: Path) -> None:
    odd = Odd(tmp_path, HEAD + QUESTION + method("fine", "self", "end(self.question)", "@soft_check"), ENDED)
    funnel = Terminal(tmp_path).json("curate")["funnel"]
    assert (funnel["accepted"], funnel["review"]) == (1, len(ENDINGS))
    for number, said in enumerate(ENDINGS.values()):
        [reason] = odd[number].reasons
        assert reason.code is ReasonCode.SOFT_CHECK
        assert said in reason.detail and "(task.py, line " in reason.detail


@pytest.mark.parametrize("value", ["True", "False", "5", "[]", "self"])
def test_a_soft_check_that_returns_no_text_is_broken_and_check_says_so(tmp_path: Path, value: str) -> None:
    odd = Odd(tmp_path, QUESTION + method("odd", "self", f"return {value}", "@soft_check"), ROWS)
    odd.curate()
    [reason] = odd[1].reasons
    assert reason.code is ReasonCode.SOFT_CHECK and reason.field == "odd"
    assert reason.detail.startswith("the check itself failed: TypeError: odd() returned ")
    assert reason.detail.endswith("; return a string that says what is odd, or None (task.py, line 12)")
    [fault] = [finding for finding in Terminal(tmp_path).json("check", exit_code=1) if not finding["ok"]]
    assert fault["what"] == "code of Question"
    assert fault["detail"].startswith("it failed on 2 of 2 rows tried, such as data.jsonl:1: a soft check of ")


MISCALLED = {
    "soft check": method("odd", "self, x", "return None", "@soft_check"),
    "validator": method("odd", "cls, value, *, x", "return value", '@field_validator("question")\n    @classmethod'),
    "task_parse": method("task_parse", "cls", "return super().task_parse({})"),
}


@pytest.mark.parametrize("kind", MISCALLED)
def test_a_method_that_cannot_even_be_called_is_named_with_the_line_of_its_definition(
    tmp_path: Path, kind: str
) -> None:
    odd = Odd(tmp_path, QUESTION + MISCALLED[kind], ROWS)
    odd.curate()
    assert re.search(r"failed: TypeError: .* argument.* \(task\.py, line 12\)$", odd[1].reasons[0].detail)
    findings = {finding["what"]: finding for finding in Terminal(tmp_path).json("check", exit_code=1)}
    assert findings["code of Question"]["detail"].endswith("(task.py, line 12); fix it")


def test_a_check_that_finds_something_is_not_a_fault_of_its_code(tmp_path: Path) -> None:
    Odd(tmp_path, QUESTION + method("odd", "self", "return 'it is odd'", "@soft_check"), ROWS)
    assert all(finding["ok"] for finding in Terminal(tmp_path).json("check"))


def test_an_error_of_a_validator_whose_text_no_file_can_hold_rejects_its_row(tmp_path: Path) -> None:
    body = "if 'charged' in value: raise ValueError(chr(0xd800))\n        return value"
    odd = Odd(tmp_path, QUESTION + method("looked", "cls, value", body, FIELD_VALIDATOR), ROWS)
    assert odd.curate().funnel.rejected == 1
    assert "\\ud800" in odd[2].reasons[0].detail


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_task_that_ends_the_program_while_it_is_imported_is_one_line(tmp_path: Path, ending: str) -> None:
    Odd(tmp_path, HEAD + ending + "\n" + QUESTION, ROWS)
    for verb in ("curate", "release", "check", "status"):
        line = Terminal(tmp_path).error(verb, "--json")
        assert line.startswith(f"{tmp_path}/dataset.yaml:2: task file {tmp_path}/task.py cannot be imported: ")
        assert line.isascii() and "(task.py, line " in line


NONSENSE = {
    "task_names": ("cls, role", ["None", "['nothing']"]),
    "task_targets": ("cls", ["None", "()", "['topic']"]),
    "task_kind": ("cls", ["None", "'sorting'"]),
    "task_instruction": ("cls", ["None", "'\\ud800'"]),
    "task_answer_form": ("cls", ["None", "['a']"]),
    "task_digest": ("cls", ["None", "''"]),
    "task_prompt": ("cls, inputs", ["None", "'text'", "[]", "[{'role': 'user', 'content': 'x'}]"]),
    "task_answer": ("cls, targets", ["None", "targets", "chr(0xd800)"]),
    "task_parse": ("cls, row", ["None", "{}", "(row, None)"]),
    "task_canonical": ("cls, targets", ["None", "{}", "{'topic': 'nonsense'}", "{'topic': ['billing']}"]),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_a_method_that_returns_nonsense_or_fails_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    arguments, values = NONSENSE[name]
    for number, body in enumerate([*(f"return {value}" for value in values), "sys.exit(0)", "raise Mute"]):
        folder = tmp_path / str(number)
        odd = Odd(folder, HEAD + QUESTION + method(name, arguments, body), ROWS)
        terminal = Terminal(folder)
        if name in ("task_parse", "task_canonical"):
            assert terminal.json("curate")["funnel"]["rejected"] == 2
            said = odd[1].reasons[0].detail
        else:
            assert name in terminal.goldleaf("check", exit_code=1).output
            said = terminal.error("curate", "--json")
        assert name in said and "(task.py, line " in said, said
        assert "which is no" in said or "SystemExit" in said, said


def test_a_method_that_fails_only_on_annotators_answers_is_their_answer_s_problem(tmp_path: Path) -> None:
    broken = method("task_validate_targets", "cls, values", "sys.exit(0)")
    broken += method("task_problems", "cls, inputs, targets", "return 7")
    task = Odd(tmp_path, HEAD + QUESTION + broken, ROWS).context.dataset.task
    with pytest.raises(
        ValueError, match=r"^task_validate_targets itself failed: SystemExit: 0 \(task\.py, line \d+\)$"
    ):
        task.task_validate_targets({"topic": "billing"})
    [problem] = task.task_problems({}, {})
    assert problem.detail.startswith("task_problems itself failed: it returned 7, which is not a list of Reason")
    assert task.task_read_answer("billing") is None


def test_a_labeling_form_that_fails_is_a_finding_of_check(tmp_path: Path) -> None:
    Odd(tmp_path, HEAD + QUESTION + method("task_labeling_config", "cls", "return 7"), ROWS)
    findings = {finding["what"]: finding for finding in Terminal(tmp_path).json("check", exit_code=1)}
    detail = findings["labeling form"]["detail"]
    assert "task_labeling_config failed: it returned 7, which is not a string or None" in detail


def test_a_method_that_is_not_a_classmethod_is_named(tmp_path: Path) -> None:
    Odd(tmp_path, QUESTION + method("task_answer", "self, targets", "return ''", ""), ROWS)
    assert "Question.task_answer is not a classmethod; write @classmethod above it" in Terminal(tmp_path).error("check")


def test_a_method_that_builds_on_the_one_it_overrides_works_as_before(tmp_path: Path) -> None:
    more = method("task_prompt", "cls, inputs", "inputs['question']; return super().task_prompt(inputs)[1:]")
    more += method("task_kind", "", "return 'extraction'", "@staticmethod")
    odd = Odd(tmp_path, QUESTION + more, ROWS)
    task = odd.context.dataset.task
    assert [message.content for message in task.task_prompt({"question": "Why?"})] == ["Why?"]
    assert odd.context.dataset.task is task, "guarded once"
    assert kind_of(task).name == "extraction"
    with pytest.raises(TaskCodeError, match=r"^Question\.task_prompt failed: KeyError: 'question' .*; fix it$"):
        task.task_prompt({})


def test_half_a_surrogate_out_of_a_validator_rejects_its_row_and_no_other(tmp_path: Path) -> None:
    values = ["chr(0xd800)", "2**64", "float('inf')", "[chr(0xdfff)]", "{1: [chr(0xd800)]}"]
    task = QUESTION.replace("question: Input[str]", "question: Input[object]")
    more = method(
        "odd",
        "cls, value",
        f"return [{', '.join(values)}, value][int(value[0])]",
        '@field_validator("question")\n    @classmethod',
    )
    rows = [row(n, f"{n} is my parcel?", "delivery") for n in range(len(values) + 1)]
    odd = Odd(tmp_path, task + more, rows)
    assert odd.curate().funnel.rejected == len(values)
    assert odd[len(values)].fate is Fate.ACCEPTED
    assert "a validator or serializer turns 'question' into half a surrogate" in odd[0].reasons[0].detail


# --- what it prints -------------------------------------------------------------------------------
PRINTING = (
    """
import os
print("from the import")
os.write(1, b"from the descriptor\\n")
"""
    + QUESTION
    + method(
        "talks",
        "cls, value",
        "print('from a row') or value[-4:] != '100?' or os.system('echo from a child')\n        return value",
        '@field_validator("question")\n    @classmethod',
    )
)


def process(folder: Path, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own."""
    own_environment = {"GOLDLEAF_HOME": "home", "LABEL_STUDIO_URL": "", "PREFECT_API_URL": ""}
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *args],
        cwd=folder,
        env=os.environ | own_environment | more,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_a_task_prints_goes_to_stderr_also_out_of_workers_and_children(tmp_path: Path) -> None:
    rows = [row(n, f"Where is my parcel {n}?", "delivery") for n in range(2_100)]
    Odd(tmp_path, PRINTING, rows, "engine: {workers: 2}\nduplicates: {threshold: 1.0}\n")
    done = process(tmp_path, "curate", "--json")
    assert json.loads(done.stdout)["funnel"]["raw"] == 2_100
    for said in ("from the import", "from the descriptor", "from a row", "from a child"):
        assert said in done.stderr


def test_what_a_task_prints_is_in_no_result_within_a_process_either(tmp_path: Path) -> None:
    Odd(tmp_path, PRINTING, ROWS)
    result = Terminal(tmp_path).goldleaf("curate", "--json")
    assert json.loads(result.stdout)["funnel"]["raw"] == 2
    assert "from the import" in result.stderr and "from a row" in result.stderr
    assert Terminal(tmp_path).goldleaf("--version").stdout.startswith("goldleaf "), "stdout is back"


def test_a_full_disk_behind_stdout_is_one_line(tmp_path: Path) -> None:
    Odd(tmp_path, QUESTION, ROWS)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", "status", "--json"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            env=os.environ | {"GOLDLEAF_HOME": "home", "LABEL_STUDIO_URL": ""},
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert (
        done.stderr
        == "error: the results cannot be written to stdout: No space left on device; check where stdout is redirected\n"
    )


# --- in workers, threads and under a signal ---------------------------------------------------------
def test_code_that_ends_the_program_in_a_worker_process_is_its_row_s_error(tmp_path: Path) -> None:
    rows = [row(n, f"{n % 100} rows of {n} nails", "delivery") for n in range(2_100)]
    Odd(
        tmp_path,
        HEAD + QUESTION + VALIDATOR.replace("end(", "if value[1] == ' ': end("),
        rows,
        "engine: {workers: 2}\n",
    )
    done = process(tmp_path, "curate", "--json")
    assert json.loads(done.stdout)["funnel"]["rejected"] == 21 * len(ENDINGS), done.stderr


def test_ctrl_c_in_the_middle_of_a_task_s_code_is_not_an_error_of_that_code(tmp_path: Path) -> None:
    body = "import signal; signal.raise_signal(signal.SIGINT)\n        return value"
    Odd(tmp_path, QUESTION + method("looked", "cls, value", body, FIELD_VALIDATOR), ROWS)
    result = Terminal(tmp_path).goldleaf("curate", "--json", exit_code=130)
    assert result.stdout == "" and "committed work is kept" in result.stderr
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_without_a_command_line_a_keyboard_interrupt_of_the_main_thread_is_the_user_s() -> None:
    with pytest.raises(KeyboardInterrupt):
        own(raised(KeyboardInterrupt()))
    assert isinstance(own(raised(SystemExit())), SystemExit)
    found: list[BaseException] = []
    thread = threading.Thread(target=lambda: found.append(own(raised(KeyboardInterrupt()))))
    thread.start()
    thread.join()
    assert len(found) == 1, "no signal reaches a thread"


def test_what_another_signal_s_handler_raises_is_not_the_task_s() -> None:
    def end(*args: object) -> None:
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, end)
    try:
        with contextlib.suppress(ValueError), pytest.raises(SystemExit):
            try:
                signal.raise_signal(signal.SIGTERM)
            except BaseException as error:
                own(error)
    finally:
        signal.signal(signal.SIGTERM, before)


# --- texts ----------------------------------------------------------------------------------------
def test_any_error_and_any_text_becomes_one_short_line_that_can_be_stored() -> None:
    assert described(ValueError("a\nb" + "x" * 10_000)).startswith("ValueError: a b")
    assert in_a_line("\ud800") == "\\ud800"
    assert len(in_a_line("y " * 10**6)) == 300
    assert [bool(no_json(value)) for value in ("ä", "\udfff", 2**63, float("nan"), {1: 2}, [{"a": {0}}], None)] == [
        *(False, True, True, True, True, True, False)
    ]
    deep: object = None
    for _ in range(300):
        deep = [deep]
    assert "deeper" in no_json(deep)
