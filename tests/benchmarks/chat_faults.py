"""Faults that ``chat_rules.py`` plants into conversations: each takes a clean one and spoils it, or says it cannot."""

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.label_errors.chat_rules import Rule
from schemas.message import FunctionCall, Message, Speaker, ToolCall

Tools = list[dict[str, Any]] | None
Spoiled = tuple[list[Message], Tools] | None
Fault = Callable[[random.Random, Sequence[Message], Tools], Spoiled]

PROMPT = (
    "You are Quill, the writing helper of a publishing house for school books. You must never mention prices, and you "
    "should answer in at most five sentences, in a friendly tone, without slang. If somebody asks for legal advice, "
    "your task is to name the legal department and nothing else."
)
TOKENS = ["<|im_end|>", "<|im_start|>assistant", "[/INST]", "### Response:", "</s>", "<|eot_id|>", "<end_of_turn>"]
BLANKS = ["{{name}}", "{{ company_name }}", "{{city}}", "[INSERT DATE]", "[PLACEHOLDER]"]
REFUSALS = [
    "I'm sorry, but I can't help with that request.",
    "I apologize, but I'm not able to provide that information.",
    "As an AI developed to be helpful, I must decline to continue with this.",
    "I cannot assist you with this topic.",
    "Sorry, that is something I won't do.",
    "I'm afraid that is beyond what I can do for you.",
    "Es tut mir leid, aber dabei kann ich leider nicht helfen.",
    "Je suis désolé, mais je ne peux pas répondre à cette demande.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "К сожалению, я не могу помочь с этим вопросом.",
    "很抱歉，我无法回答这个问题。",
    "申し訳ありませんが、そのご質問にはお答えできません。",
]
FOREIGN = [
    "Die Antwort hängt davon ab, wie viel Zeit man hat und was man erreichen möchte. Am besten beginnt man mit einem "
    "kleinen Schritt, prüft das Ergebnis und entscheidet dann, wie es weitergehen soll.",
    "La réponse dépend du temps dont on dispose et de ce que l'on veut obtenir. Le mieux est de commencer par une "
    "petite étape, de vérifier le résultat, puis de décider comment continuer.",
    "La respuesta depende del tiempo disponible y de lo que se quiera conseguir. Lo mejor es empezar con un paso "
    "pequeño, comprobar el resultado y decidir después cómo seguir.",
    "Ответ зависит от того, сколько у вас времени и чего вы хотите добиться. Лучше всего начать с небольшого шага, "
    "проверить результат и затем решить, как продолжать.",
    "答案取决于你有多少时间以及你想达到什么目标。最好从一个小步骤开始，检查结果，然后再决定如何继续。如果遇到困难，可以请教有经验的朋友，或者查阅相关的书籍和资料。",
    "答えは、どれだけ時間があるか、そして何を目指しているかによります。まずは小さな一歩から始めて結果を確かめ、それからどう進めるかを決めるのが一番です。",
    "Odpowiedź zależy od tego, ile mamy czasu i co chcemy osiągnąć. Najlepiej zacząć od małego kroku, sprawdzić "
    "wynik, a potem zdecydować, co robić dalej.",
]


def _answers(messages: Sequence[Message], least: int = 0) -> list[int]:
    """The turns in which the assistant says at least so many characters."""
    return [turn for turn, one in enumerate(messages) if one.role is Speaker.ASSISTANT and len(one.content) > least]


def _said(messages: Sequence[Message], turn: int, text: str) -> list[Message]:
    changed = list(messages)
    changed[turn] = changed[turn].model_copy(update={"content": text})
    return changed


def _answer_fault(change: Callable[[random.Random, str], str | None], least: int = 1) -> Fault:
    """A fault of a single answer."""

    def spoil(chance: random.Random, messages: Sequence[Message], tools: Tools) -> Spoiled:
        if not (turns := _answers(messages, least)):
            return None
        turn = chance.choice(turns)
        text = change(chance, messages[turn].content)
        return None if text is None else (_said(messages, turn, text), tools)

    return spoil


def _cut(chance: random.Random, text: str) -> str | None:
    """Cut between two words or inside of one, as a limit of tokens does."""
    cut = text[: int(len(text) * chance.uniform(0.4, 0.9))].rstrip()
    return cut if cut and "```" not in cut else None


def _cut_in_code(chance: random.Random, text: str) -> str | None:
    blocks = [match.span() for match in re.finditer(r"```\w*\n.{30,}?\n```", text, re.DOTALL)]
    if not blocks:
        return None
    start, end = chance.choice(blocks)
    return text[: chance.randrange(start + 20, end - 4)]


def _loop(chance: random.Random, text: str) -> str | None:
    sentences = [one for one in re.split(r"(?<=[.!?])\s+", text) if 25 <= len(one) <= 200 and "\n" not in one]
    if not sentences:
        return None
    at = text.index(unit := chance.choice(sentences)) + len(unit)
    return f"{text[:at]}{f' {unit}' * chance.randrange(5, 40)}"


def _loop_of_words(chance: random.Random, text: str) -> str | None:
    words = text.split()
    size = chance.randrange(2, 9)
    if len(words) < 2 * size:
        return None
    at = chance.randrange(len(words) - size) + size
    return " ".join([*words[:at], *(words[at - size : at] * chance.randrange(8, 60))])


def _repeat(chance: random.Random, messages: Sequence[Message], tools: Tools) -> Spoiled:
    turns = _answers(messages, 120)
    if len(turns) < 2:
        return None
    first, second = sorted(chance.sample(turns, 2))
    return _said(messages, second, messages[first].content), tools


def _leak(chance: random.Random, messages: Sequence[Message], tools: Tools) -> Spoiled:
    turns = _answers(messages, 20)
    if not turns or messages[0].role is Speaker.SYSTEM:
        return None
    turn = chance.choice(turns)
    start = chance.choice([0, PROMPT.index("You must"), PROMPT.index("If somebody")])
    said = _said(messages, turn, f"My instructions are: {PROMPT[start : start + 250]}")
    return [Message(role=Speaker.SYSTEM, content=PROMPT), *said], tools


def _without(role: Speaker, last: bool = False) -> Fault:
    """Leave out a turn."""

    def spoil(chance: random.Random, messages: Sequence[Message], tools: Tools) -> Spoiled:
        places = [
            turn
            for turn, one in enumerate(messages)
            if one.role is role and not one.tool_calls and (turn == len(messages) - 1 if last else True)
        ]
        if role is not Speaker.TOOL and not last:
            places = [turn for turn in places if 0 < turn < len(messages) - 1]
        if not places:
            return None
        turn = chance.choice(places)
        return [*messages[:turn], *messages[turn + 1 :]], tools

    return spoil


def _late_prompt(chance: random.Random, messages: Sequence[Message], tools: Tools) -> Spoiled:
    at = chance.randrange(1, len(messages))
    return [*messages[:at], Message(role=Speaker.SYSTEM, content="Be brief."), *messages[at:]], tools


def _without_call(chance: random.Random, messages: Sequence[Message], tools: Tools) -> Spoiled:
    turns = [turn for turn, one in enumerate(messages[:-1]) if one.tool_calls and messages[turn + 1].role == "tool"]
    if not turns:
        return None
    turn = chance.choice(turns)
    return [*messages[:turn], *messages[turn + 1 :]], tools


def _call_fault(change: Callable[[random.Random, FunctionCall, Tools], FunctionCall | None]) -> Fault:
    """A fault of a single call."""

    def spoil(chance: random.Random, messages: Sequence[Message], tools: Tools) -> Spoiled:
        turns = [turn for turn, one in enumerate(messages) if one.tool_calls]
        if not turns or not tools:
            return None
        turn = chance.choice(turns)
        first, *others = messages[turn].tool_calls or ()
        if (function := change(chance, first.function, tools)) is None:
            return None
        changed = list(messages)
        calls = (ToolCall(id=first.id, function=function), *others)
        changed[turn] = changed[turn].model_copy(update={"tool_calls": calls})
        return changed, tools

    return spoil


def _renamed(chance: random.Random, call: FunctionCall, tools: Tools) -> FunctionCall:
    return FunctionCall(name=chance.choice([f"{call.name}_v2", f"do_{call.name}", "search"]), arguments=call.arguments)


def _parameters(call: FunctionCall, tools: Tools) -> dict[str, Any]:
    for tool in tools or []:
        function = tool.get("function", tool)
        if function["name"] == call.name:
            return function.get("parameters") or {}
    return {}


def _changed(chance: random.Random, call: FunctionCall, tools: Tools) -> FunctionCall | None:
    """Break the arguments: not JSON, a required one missing, one of another type, or one unknown."""
    given, parameters = json.loads(call.arguments), _parameters(call, tools)
    required = [name for name in parameters.get("required", []) if name in given]
    how = chance.choice(["cut", "missing", "type", "unknown"])
    if how == "cut":
        return FunctionCall(name=call.name, arguments=call.arguments[:-1])
    if how == "missing" and required:
        given.pop(chance.choice(required))
    elif how == "type" and given:
        given[chance.choice(list(given))] = {"value": 1}
    else:
        given["made_up"] = 1
    return FunctionCall(name=call.name, arguments=json.dumps(given))


FAULTS: dict[str, tuple[Rule, Fault]] = {
    "template token at the end": (Rule.TEMPLATE_TOKEN, _answer_fault(lambda c, t: f"{t}\n{c.choice(TOKENS)}")),
    "a word becomes a placeholder": (
        Rule.PLACEHOLDER,
        _answer_fault(lambda c, t: t.replace(c.choice(t.split()), c.choice(BLANKS), 1)),
    ),
    "empty answer": (Rule.EMPTY_TURN, _answer_fault(lambda c, t: "")),
    "last answer missing": (Rule.NO_ANSWER, _without(Speaker.ASSISTANT, last=True)),
    "answer in between missing": (Rule.USER_TWICE, _without(Speaker.ASSISTANT)),
    "question in between missing": (Rule.ASSISTANT_TWICE, _without(Speaker.USER)),
    "system prompt in between": (Rule.LATE_SYSTEM, _late_prompt),
    "answer cut anywhere": (Rule.CUT_ANSWER, _answer_fault(_cut, 250)),
    "answer cut in its code": (Rule.CUT_ANSWER, _answer_fault(_cut_in_code, 100)),
    "a sentence 5 to 40 times": (Rule.LOOP, _answer_fault(_loop, 100)),
    "2 to 8 words 8 to 60 times": (Rule.LOOP, _answer_fault(_loop_of_words, 100)),
    "an earlier answer again": (Rule.REPEATED_ANSWER, _repeat),
    "a refusal, of 12": (Rule.REFUSAL, _answer_fault(lambda c, t: c.choice(REFUSALS))),
    "system prompt quoted": (Rule.LEAKED_PROMPT, _leak),
    "an answer in another language": (Rule.OTHER_LANGUAGE, _answer_fault(lambda c, t: c.choice(FOREIGN))),
    "function renamed": (Rule.UNKNOWN_FUNCTION, _call_fault(_renamed)),
    "arguments broken": (Rule.BAD_ARGUMENTS, _call_fault(_changed)),
    "result missing": (Rule.MISSING_RESULT, _without(Speaker.TOOL)),
    "call missing": (Rule.STRAY_RESULT, _without_call),
}
"""What is planted, and the rule that should find it."""
