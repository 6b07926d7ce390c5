"""An answer that says nothing waits for an annotator, whatever the budget; where it is trained, preflight names it."""

from pathlib import Path

import pytest
from model_families import SMOLLM, model_of
from odd import PLAIN, Odd
from test_preflight import CONFIG, chat, row, said

from pipeline.finetuning.preflight_findings import Judge, Severity
from pipeline.finetuning.preflight_rows import Meter
from schemas.dataset import Finetune, Turns
from schemas.fate import Fate, ReasonCode
from schemas.message import Speaker

TALK = '''
from schemas.task import Conversation


class Talk(Task):
    """Answer."""

    messages: Conversation
'''
SAYS_NOTHING = ["", "\u200b", ".", "N/A", "…"]


def test_answers_that_say_nothing_are_not_published_beyond_the_budget(tmp_path: Path) -> None:
    answers = ["Turn it off and on again.", *SAYS_NOTHING, "I am sorry, but I cannot help with that."]
    asked = [f"My lamp number {n} is broken in the way of {n * 7}. What now?" for n in range(len(answers))]
    rows: list[dict[str, object]] = [
        {"id": n, "messages": [{"role": "user", "content": asked[n]}, {"role": "assistant", "content": text}]}
        for n, text in enumerate(answers)
    ]
    odd = Odd(tmp_path, TALK, rows, "duplicates: {threshold: 1.0}\n")
    odd.edit("task.py:Question", "task.py:Talk")
    assert "budget: 0" in PLAIN
    odd.curate()
    fates = {n: odd[n].fate for n in range(len(answers))}
    assert fates == {0: Fate.ACCEPTED, **dict.fromkeys(range(1, 6), Fate.REVIEW), 6: Fate.ACCEPTED}
    assert odd.codes(1)[0] is ReasonCode.EMPTY_TURN
    assert odd.codes(6)[0] is ReasonCode.UNREVIEWED, "what may be wrong passes beyond the budget, as ever"


@pytest.mark.parametrize(
    "text", ["None", "null", "none.", "N / A", "Not available.", "n.a.", "\u2800", "\u3164" * 5, "\ufe0f", "```\n```"]
)
def test_what_stands_for_an_answer_that_is_not_there_says_nothing(text: str) -> None:
    assert said(Speaker.ASSISTANT, text).says_nothing
    assert not said(Speaker.ASSISTANT, f"{text} It is 5.").says_nothing


def test_preflight_names_trained_turns_that_say_nothing_and_only_those_of_chats() -> None:
    smollm = model_of(SMOLLM)
    asked = said(Speaker.USER, "Hi")
    chats = [chat(n, asked, said(Speaker.ASSISTANT, text)) for n, text in enumerate(["Hello.", "\u200b", "N/A"])]
    chats.append(chat(3, asked, said(Speaker.ASSISTANT, ".", weight=0), asked, said(Speaker.ASSISTANT, "Hello.")))
    judge = Judge(smollm.name, Finetune(batch_size=1), CONFIG.max_length, None)
    found = {one.code: one for one in judge.trained(Meter(smollm, Turns.EVERY, 200, chats=True).measure(chats))}
    assert found["empty_answer"].examples == ("c1", "c2")
    assert found["empty_answer"].severity is Severity.WARNING
    values = Meter(smollm, Turns.EVERY, 200).measure([row(1), row(2, answer=".")])
    assert not any(one.code == "empty_answer" for one in judge.trained(values))
