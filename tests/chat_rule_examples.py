"""What each chat rule finds, with an example of what it doubts and of what it does not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.label_errors.chat_findings import Rule
from schemas.message import FunctionCall, Message, ToolCall


@dataclass(frozen=True, slots=True)
class About:
    """What a rule finds."""

    finds: str
    """As the docs say it."""
    doubted: tuple[str, ...]
    """A conversation that the rule doubts; see ``as_messages``."""
    fine: tuple[str, ...]
    """One like it that no rule doubts."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """The functions that both may call."""


def as_messages(lines: Sequence[str]) -> list[Message]:
    """The messages of an example: ``user: Hi``, or ``assistant calls find: {}``."""
    messages = []
    for line in lines:
        said, _, text = line.partition(": ")
        role, _, function = said.partition(" calls ")
        if function:
            call = ToolCall(function=FunctionCall(name=function, arguments=text))
            messages.append(Message.model_validate({"role": role, "tool_calls": (call,)}))
        else:
            messages.append(Message.model_validate({"role": role, "content": text}))
    return messages


_FIND = {
    "name": "find",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
_ODD = {"name": "find", "parameters": {"type": "object", "properties": {"city": {"type": "placename"}}}}
_GREETED = ("user: Hi", "assistant: Hello!")
_CALLED = ("user: Where is it warm?", 'assistant calls find: {"city": "Rome"}')
_PROMPT = "system: You are Quill. You must answer politely and never talk about prices."
_ASKED = "user: Which steps does it take to bake a loaf of bread at home?"
_LONG = "First mix flour, water, salt and yeast. Then let the dough rest for some hours in a warm place and"
_GERMAN = (
    "Zuerst mischt man Mehl, Wasser, Salz und Hefe. Dann ruht der Teig einige Stunden, und am Ende wird er gebacken."
)
_SAME = "I would start with a small step, look at the result with a friend, and then decide how to go on from there."

ABOUT: dict[Rule, About] = {
    Rule.TEMPLATE_TOKEN: About(
        "an answer contains a control token or heading of a template, or runs on with a question; nobody spoke of it",
        ("user: Hi", "assistant: Hello!<|im_end|>"),
        ("user: What does <|im_end|> do?", "assistant: <|im_end|> ends a turn."),
    ),
    Rule.PLACEHOLDER: About(
        "an answer has a placeholder that was never filled in, outside of code and of letters that were asked for",
        ("user: Who are you?", "assistant: I am {{name}}."),
        ("user: How does Jinja print a name?", "assistant: With `{{name}}`."),
    ),
    Rule.EMPTY_TURN: About(
        "the user or the assistant says nothing, or the assistant only `.` or what stands for no answer, such as `N/A` "
        "or `None`; a turn that calls a tool says something, reasoning alone does not",
        ("user: Hi", "assistant: "),
        _CALLED,
        (_FIND,),
    ),
    Rule.NO_ANSWER: About(
        "the conversation does not end with the assistant, or the user speaks where the assistant should answer a tool",
        (*_GREETED, "user: How are you?"),
        _CALLED,
        (_FIND,),
    ),
    Rule.UNKNOWN_FUNCTION: About(
        "a function is called that the tools do not define; if there are none, the system prompt must name it",
        ("user: Where is it warm?", 'assistant calls search: {"city": "Rome"}'),
        _CALLED,
        (_FIND,),
    ),
    Rule.BAD_ARGUMENTS: About(
        "a call's arguments are no JSON object, break the function's JSON schema, or name a parameter that it does not "
        "have, unless the schema allows others",
        ("user: Where is it warm?", "assistant calls find: {}"),
        _CALLED,
        (_FIND,),
    ),
    Rule.LOOP: About(
        "an answer repeats a sentence at least four times, in a third of its text, or a run of words again and again",
        ("user: Sing", f"assistant: {' '.join(['We sail the wide and windy sea.'] * 5)}"),
        ("user: Sing", "assistant: We sail the wide and windy sea. We sail the wide and windy sea. Hey!"),
    ),
    Rule.CUT_ANSWER: About(
        "an answer ends inside a code block, with a comma or a word that ends no sentence, or without a full stop "
        "where its other sentences have one",
        (_ASKED, f"assistant: {_LONG}"),
        (_ASKED, "assistant: Mix flour, water, salt and yeast, wait and bake"),
    ),
    Rule.LEAKED_PROMPT: About(
        "an answer quotes 15 words of the system prompt (of a shorter prompt, all) that speak to the model",
        (_PROMPT, "user: Hi", "assistant: You are Quill. You must answer politely and never talk about prices."),
        (_PROMPT, "user: Hi", "assistant: Hello! I am Quill, and I never talk about prices."),
    ),
    Rule.OTHER_LANGUAGE: About(
        "an answer is in a language that nobody has used or named before, and no translation was asked for",
        (_ASKED, f"assistant: {_GERMAN}"),
        (f"{_ASKED} Answer in German.", f"assistant: {_GERMAN}"),
    ),
    Rule.REPEATED_ANSWER: About(
        "an answer of at least 100 characters is the same as an earlier one to another question",
        ("user: How?", f"assistant: {_SAME}", "user: Why?", f"assistant: {_SAME}"),
        ("user: How?", f"assistant: {_SAME}", "user: How?", f"assistant: {_SAME}"),
    ),
    Rule.REFUSAL: About(
        "an answer begins with a refusal (in English, Dutch, German, French, Spanish, Italian, Portuguese, Polish, "
        "Russian, Turkish, Chinese, Japanese, Korean, Arabic or Hindi)",
        ("user: Translate this", "assistant: I'm sorry, but I can't help with that."),
        ("user: I lost my key", "assistant: I'm sorry to hear that. When did you last see it?"),
    ),
    Rule.STRAY_RESULT: About(
        "a tool answers, but nothing was called, or not the call that it names",
        (_CALLED[0], "tool: 31 degrees", "assistant: In Rome."),
        (*_CALLED, "tool: 31 degrees", "assistant: In Rome."),
        (_FIND,),
    ),
    Rule.MISSING_RESULT: About(
        "the conversation goes on after a call that no tool answered",
        (*_CALLED, "user: And?", "assistant: In Rome."),
        (*_CALLED, "tool: 31 degrees", "assistant: In Rome."),
        (_FIND,),
    ),
    Rule.ASSISTANT_FIRST: About(
        "the assistant speaks before the user",
        ("assistant: Hello!", *_GREETED),
        ("system: Be brief.", *_GREETED),
    ),
    Rule.USER_TWICE: About(
        "two turns of the user follow each other",
        ("user: Hi", *_GREETED),
        (*_GREETED, "user: Bye", "assistant: Bye!"),
    ),
    Rule.ASSISTANT_TWICE: About(
        "two turns of the assistant follow each other, and neither calls a tool",
        (*_GREETED, "assistant: How are you?"),
        ("user: Where is it warm?", "assistant: Let me see.", _CALLED[1]),
        (_FIND,),
    ),
    Rule.LATE_SYSTEM: About(
        "a system or developer prompt comes after other turns",
        ("user: Hi", "system: Be brief.", "assistant: Hello!"),
        ("system: Be brief.", "developer: Be kind.", *_GREETED),
    ),
    Rule.BROKEN_SCHEMA: About(
        "a function is called whose definition no arguments can be checked by; said once, and not held against "
        "the call",
        _CALLED,
        ("user: Hi", "assistant: Hello!"),
        (_ODD,),
    ),
}
"""All rules."""
