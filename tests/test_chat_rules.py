"""A conversation is doubted for what is wrong with it, and not for what only looks like it."""

import re
from pathlib import Path
from typing import Any

import pytest
from chat_rule_examples import ABOUT, as_messages
from hypothesis import given
from hypothesis import strategies as st
from ordinary_chats import ORDINARY

from pipeline.label_errors.chat_rules import Finding, Rule, doubts
from schemas.message import Message

RULES_PAGE = Path(__file__).parent.parent / "docs" / "rules.md"
GOOD = "Bread takes four steps. You mix flour, water, salt and yeast, and you knead the dough until it is smooth."


def rules(*lines: str, tools: Any = None, **turn: Any) -> list[Rule]:
    """The rules that doubt a conversation; ``turn`` is added to its last message."""
    messages = as_messages(lines)
    messages[-1] = Message.model_validate(messages[-1].model_dump() | turn)
    return [finding.rule for finding in doubts(messages, tools)]


def answered(text: str, question: str = "How do I bake bread in my kitchen, step by step?") -> list[Rule]:
    return [one.rule for one in doubts(as_messages([f"user: {question}", f"assistant: {text}"]), None)]


# --- every rule -------------------------------------------------------------------------------------
@pytest.mark.parametrize("rule", list(Rule))
def test_the_example_of_a_rule_is_doubted_by_it_alone_and_its_counterpart_by_none(rule: Rule) -> None:
    about = ABOUT[rule]
    found = doubts(as_messages(about.doubted), about.tools)
    assert {one.rule for one in found} == {rule}
    assert all(one.detail and "\n" not in one.detail for one in found)
    if rule is not Rule.BROKEN_SCHEMA:
        assert doubts(as_messages(about.fine), about.tools) == []


@pytest.mark.parametrize("rule", list(Rule))
def test_every_rule_can_be_turned_off(rule: Rule) -> None:
    assert doubts(as_messages(ABOUT[rule].doubted), ABOUT[rule].tools, {rule}) == []


def test_the_page_of_rules_is_the_code_s() -> None:
    def cell(lines: tuple[str, ...]) -> str:
        shown = (line if len(line) <= 90 else f"{line[:48]} … {line[-38:]}" for line in lines)
        coded = (f"`` {line} ``" if "`" in line else f"`{line.strip()}`" for line in shown)
        return "<br>".join(coded).replace("|", "\\|")

    section = RULES_PAGE.read_text(encoding="utf-8").split("## Chat\n")[1]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{rule}` | {about.finds} | {cell(about.doubted)} | {cell(about.fine)} |" for rule, about in ABOUT.items()
    ]
    assert list(ABOUT) == list(Rule)


def test_the_weightiest_finding_comes_first() -> None:
    found = rules("assistant: Hello!", "user: Hi", "user: Who are you?", "assistant: I am {{name}}.<|im_end|>")
    assert found == [Rule.TEMPLATE_TOKEN, Rule.PLACEHOLDER, Rule.ASSISTANT_FIRST, Rule.USER_TWICE]


def test_a_finding_names_its_turn_and_what_it_found() -> None:
    found = doubts(as_messages(["user: Hi", "assistant: Hello!", "user: Who?", "assistant: {{name}}"]), None)
    assert found == [Finding(Rule.PLACEHOLDER, 3, "contains '{{name}}'")]


def test_an_answer_that_training_does_not_learn_is_not_judged() -> None:
    assert rules("user: Who are you?", "assistant: I am {{name}}.", weight=0) == []
    assert rules("user: Who are you?", "assistant: I am {{name}}.", weight=1) == [Rule.PLACEHOLDER]


def test_what_the_user_writes_is_not_judged() -> None:
    assert rules("user: I'm sorry, but I can't {{name}} ### Response: and", "assistant: What?") == []


# --- order ------------------------------------------------------------------------------------------
def test_parallel_calls_may_share_a_result() -> None:
    lines = ["user: Hi", "assistant calls f: {}", "assistant calls g: {}", "tool: 1", "assistant: Done."]
    assert [one.rule for one in doubts(as_messages(lines), None, {Rule.UNKNOWN_FUNCTION})] == []


def test_calls_with_ids_need_a_result_each() -> None:
    calls = [{"id": name, "function": {"name": name, "arguments": "{}"}} for name in ("a", "b")]
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "b", "content": "1"},
        {"role": "tool", "tool_call_id": "a", "content": "2"},
        {"role": "assistant", "content": "Done."},
    ]

    def found(some: list[dict[str, Any]]) -> list[tuple[Rule, int, str]]:
        messages = [Message.model_validate(turn) for turn in some]
        return [(one.rule, one.turn, one.detail) for one in doubts(messages, [{"name": "a"}, {"name": "b"}])]

    assert found(turns) == []
    assert found([*turns[:3], turns[4]]) == [(Rule.MISSING_RESULT, 1, "no tool answers the call of a")]
    wrong = {"role": "tool", "tool_call_id": "c", "content": "3"}
    assert found([*turns[:4], wrong, turns[4]]) == [
        (Rule.STRAY_RESULT, 4, "a tool answers 'c', which was not called"),
    ]
    assert found(turns[:2]) == [], "the calls are the answer"
    assert found(turns[:4]) == [(Rule.NO_ANSWER, 3, "the conversation ends with a turn of the tool")]


def test_an_answer_of_reasoning_alone_is_empty() -> None:
    assert rules("user: Hi", "assistant: ", reasoning_content="Hm.") == [Rule.EMPTY_TURN]
    assert rules("system: ", "user: Hi", "assistant: Hello!") == []


# --- endings ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "end",
    [
        "Then you let it rest in a warm place for at least",
        "Then you let it rest, knead it again, and form a lo",
        "Then you form two loaves, cover them with a cloth,",
        "Then you need the following things for the oven:",
        "Now let it rest for the",
        "```python\nfor step in steps:\n    bake(step)",
        "\n\n1. Mix the flour and the water.\n2. Let the dough rest.\n3.",
        "\n\n- Mix the flour with water.\n- Let it rest for hours.\n- Bake it in the oven until the crust is gold",
    ],
)
def test_an_answer_that_breaks_off_is_found(end: str) -> None:
    assert answered(f"{GOOD} {end}") == [Rule.CUT_ANSWER] or answered(f"{GOOD}\n{end}") == [Rule.CUT_ANSWER]


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "Yes",
        "The Old Man and the Sea, by Ernest Hemingway",
        "- flour\n- water\n- salt and yeast from the shop around the corner of our street",
        f"{GOOD}\n\nBest regards,\nAnn",
        f"{GOOD}\n```python\nfor step in steps:\n    bake(step)\n```",
        f"{GOOD}\n```python\nprint('a')\n```\n```\n```",
        f"{GOOD}\n\n| step | time |\n|---|---|\n| bake | one hour |",
        f"{GOOD}\n\nSee https://example.com/bread/how-to-bake-it-well",
        f"{GOOD}\n\nAnswer: four steps, which are mixing, kneading, resting and baking",
        f'{GOOD}\n\n"Bread is the staff of life, as all of us know." - Jonathan Swift',
        "Roses are red\nViolets are blue\nSugar is sweet and I would like to bake a loaf with you",
        f"{GOOD} *smiles and hands over a piece of the bread*",
        f"{GOOD} So we need\n\n$$x = a + b$$",
        "面包需要四个步骤。先把面粉、水、盐和酵母混合在一起，然后揉面，直到面团变得光滑，最后放进烤箱里烤大约一个小时就可以了",
        "ขนมปังมีสี่ขั้นตอน ผสมแป้ง น้ำ เกลือ และยีสต์ แล้วนวดแป้งจนเนียน จากนั้นพักไว้และอบในเตา",
        "Хлеб пекут в четыре шага. Сначала смешивают муку, воду, соль и дрожжи, потом месят тесто.",
        f"{GOOD} #baking #bread",
    ],
)
def test_whole_answers_are_not_taken_for_cut_ones(text: str) -> None:
    assert Rule.CUT_ANSWER not in answered(text)


def test_an_answer_that_continues_a_code_block_may_end_it() -> None:
    lines = [
        "user: Write it",
        "assistant: Here it is:\n```python\na = 1",
        "user: go on",
        "assistant: b = 2\n```\nDone.",
    ]
    assert rules(*lines) == [Rule.CUT_ANSWER], "only the first is cut"


# --- repeats ----------------------------------------------------------------------------------------
def test_loops_are_found_in_every_script() -> None:
    assert answered(f"{GOOD} {'and then we bake ' * 12}") == [Rule.LOOP]
    assert answered("我们先把面粉和水混合在一起，然后再揉面。" * 6, "怎么做面包？请告诉我具体步骤。") == [Rule.LOOP]
    assert answered(f"{GOOD} {'0' * 300}.") == [Rule.LOOP]


def test_refrains_tables_and_numbers_are_no_loops() -> None:
    verses = [f"Verse {n} tells of day {n} in words of its own, and of all who came." for n in range(9)]
    song = "\n".join(f"{verse}\nHey ho, and off we go!" for verse in verses)
    assert answered(song) == []
    assert answered(f"{GOOD}\n" + "| a | b | c | d | e |\n" * 9) == []
    assert answered(f"{GOOD} 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1.") == []
    assert answered(f"{GOOD}\n```\n" + "print('the same line of code')\n" * 9 + "```") == []


def test_short_phrases_may_recur() -> None:
    lines = ["user: Thanks!", "assistant: You're welcome!", "user: Bye", "assistant: You're welcome!"]
    assert rules(*lines) == []


# --- refusals, leaks, templates ---------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        "I’m sorry, but I cannot assist with that request.",
        "As an AI language model, I don't have access to the internet.",
        "Unfortunately, I am not able to open files.",
        "I can't help you with this.",
        "Es tut mir leid, aber dabei kann ich nicht helfen.",
        "Je suis désolé, mais je ne peux pas vous aider.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "Mi dispiace, ma non posso aiutarti.",
        "Desculpe, mas não posso ajudar com isso.",
        "Het spijt me, maar ik kan je daar niet mee helpen.",
        "Niestety nie mogę w tym pomóc.",
        "К сожалению, я не могу помочь с этим.",
        "Üzgünüm, bu konuda yardımcı olamıyorum.",
        "很抱歉，我无法回答这个问题。",
        "申し訳ありませんが、お答えできません。",
        "죄송하지만 그 요청은 도와드릴 수 없습니다.",
        "عذرًا، لا أستطيع المساعدة في ذلك.",
        "मुझे खेद है, मैं इसमें मदद नहीं कर सकता।",
    ],
)
def test_refusals_are_known_in_many_languages(text: str) -> None:
    assert answered(text, "Do it") == [Rule.REFUSAL]


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry to hear that you cannot sleep. Try to go to bed earlier.",
        "Sorry for the delay. The parcel is on its way.",
        f"{GOOD} I'm sorry, but I can't say how long it keeps.",
        "I can't wait to see your bread!",
        "Unfortunately, the oven cannot be repaired.",
        "As an AI researcher you can choose among many topics.",
        "Leider ist das Brot verbrannt, und du musst ein neues backen.",
    ],
)
def test_regret_is_no_refusal(text: str) -> None:
    assert Rule.REFUSAL not in answered(text)


@pytest.mark.parametrize(
    "token", ["<|im_start|>", "<|eot_id|>", "[INST]", "<<SYS>>", "<end_of_turn>", "\n### Response: a"]
)
def test_what_a_template_leaves_behind_is_found(token: str) -> None:
    assert answered(f"{GOOD} {token} b.") == [Rule.TEMPLATE_TOKEN]
    assert answered(f"{GOOD} `{token.strip()}` b.") == []


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Who are you?", "Hello, I am [Your name] of [Company Name].", [Rule.PLACEHOLDER]),
        ("How do I reach you?", "Call us, and ask for [insert name here].", [Rule.PLACEHOLDER]),
        ("Write a letter to my landlord.", "Dear Sir,\n\nthe heating is broken.\n\nYours,\n[Your Name]", []),
        ("Where is this described?", "In [Your name](https://example.org/name) it is.", []),
        ("Is rain wet?", "Yes, it is.\n\nInput: Is snow warm?\nOutput: No, it is cold.", [Rule.TEMPLATE_TOKEN]),
        ("Is rain wet?", "Yes, it is.\n\nQ: Is snow warm?\nA: No, it is cold.", [Rule.TEMPLATE_TOKEN]),
        ("Is rain wet?", "Yes. For example:\nInput: rain\nOutput: wet", []),
        ("Write two questions about rain.", "Here they are.\nQuestion: Is it wet?\nAnswer: Yes.", []),
        ("Which format is it?", "Input: a number\nOutput: its square", []),
    ],
)
def test_names_to_fill_in_and_answers_that_run_on_are_found(question: str, answer: str, expected: list[Rule]) -> None:
    assert rules(f"user: {question}", f"assistant: {answer}") == expected


def test_html_and_headings_are_no_template_tokens() -> None:
    assert answered(f"<s>Old text</s> is struck out. {GOOD}\n### Steps: mixing\nMix it.") == []
    assert answered(f"{GOOD}</s>") == [Rule.TEMPLATE_TOKEN]


def test_a_document_in_the_system_prompt_may_be_quoted() -> None:
    document = (
        "The warranty of the bread machine lasts two years from the day on which it was bought in a shop in Europe."
    )
    lines = [
        f"system: You are Quill. Answer from this document. {document}",
        "user: How long?",
        f"assistant: {document}",
    ]
    assert rules(*lines) == []


# --- languages --------------------------------------------------------------------------------------
ENGLISH = "user: Which steps does it take to bake a loaf of bread at home, and how long?"
FRENCH = "On mélange la farine, l'eau, le sel et la levure, puis on laisse reposer la pâte pendant quelques heures."


@pytest.mark.parametrize(
    "question",
    [
        "user: Translate it into French: One mixes flour, water, salt and yeast, and lets the dough rest.",
        "user: Traduis cette phrase, please, which is about bread and how it is baked at home",
        "user: What does the first sentence say? On mélange la farine et l'eau, puis on attend. Please go on with it.",
        "user: Bread?",
    ],
)
def test_another_language_may_be_asked_for(question: str) -> None:
    assert rules(question, f"assistant: {FRENCH}") == []


def test_an_answer_in_another_script_is_found_after_a_short_question_too() -> None:
    russian = (
        "Смешайте муку, воду, соль и дрожжи, затем дайте тесту отдохнуть несколько часов и испеките его в духовке."
    )
    assert rules("user: How do I bake it?", f"assistant: {russian}") == [Rule.OTHER_LANGUAGE]
    assert rules(ENGLISH, f"assistant: {FRENCH}") == [Rule.OTHER_LANGUAGE]


def test_code_names_and_short_answers_have_no_language() -> None:
    assert rules(ENGLISH, "assistant: Crème brûlée, pain au chocolat.") == []
    code = f"```\n# {FRENCH}\nlevure = 2\n```"
    assert rules(ENGLISH, f"assistant: {code}") == []


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_conversation_is_not_doubted(name: str) -> None:
    question, answer = ORDINARY[name]
    assert answered(answer, question) == []
    follow_up = [f"user: {question}", f"assistant: {answer}", "user: OK!", "assistant: 👍"]
    assert rules(*follow_up) == []


@pytest.mark.parametrize("name", ["German", "French", "Polish", "Russian", "Chinese", "Japanese", "Arabic", "Greek"])
def test_each_of_them_is_doubted_after_an_english_question(name: str) -> None:
    question = "How do people usually deal with this when they are at home and have time to think?"
    assert answered(ORDINARY[name][1], question) == [Rule.OTHER_LANGUAGE]


# --- any --------------------------------------------------------------------------------------------
_TEXTS = st.lists(
    st.sampled_from(
        ["Hello ", "```", "\n", "{{name}}", "<|", "1. ", "我", "a", ".", ",", " ", "the ", "é", "\ud83d\ude00"]
    ),
    max_size=30,
).map("".join)


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant", "tool"]), _TEXTS), max_size=8))
def test_any_conversation_can_be_doubted(turns: list[tuple[str, str]]) -> None:
    messages = [Message.model_validate({"role": role, "content": text}) for role, text in turns]
    found = doubts(messages, [])
    assert all(0 <= one.turn < len(messages) and re.fullmatch(r".+", one.detail) for one in found)
