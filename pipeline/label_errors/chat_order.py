"""Doubts whether the turns of a conversation follow each other as they should."""

from collections.abc import Iterator, Sequence

from pipeline.label_errors.chat_findings import Finding, Rule
from pipeline.label_errors.quotes import quoted
from schemas.message import Message, Speaker

_PROMPTS = (Speaker.SYSTEM, Speaker.DEVELOPER)


def order_findings(messages: Sequence[Message]) -> Iterator[Finding]:
    """What is odd about the order of the turns, and the turns in which nothing is said."""
    calls = _Calls()
    spoken: list[Speaker] = []
    for turn, message in enumerate(messages):
        role = message.role
        yield from calls.findings(turn, message)
        yield from _empty(turn, message)
        before = spoken[-1] if spoken else None
        if role in _PROMPTS and any(earlier not in _PROMPTS for earlier in spoken):
            yield Finding(Rule.LATE_SYSTEM, turn, f"the {role} prompt comes after other turns")
        elif role is Speaker.USER and before is Speaker.USER:
            yield Finding(Rule.USER_TWICE, turn, "two turns of the user in a row")
        elif role is Speaker.USER and before is Speaker.TOOL:
            yield Finding(Rule.NO_ANSWER, turn - 1, "a tool answers, and then the user speaks")
        elif role is Speaker.ASSISTANT and all(earlier in _PROMPTS for earlier in spoken):
            yield Finding(Rule.ASSISTANT_FIRST, turn, "the assistant speaks before the user")
        elif role is before is Speaker.ASSISTANT and not (message.tool_calls or messages[turn - 1].tool_calls):
            yield Finding(Rule.ASSISTANT_TWICE, turn, "two turns of the assistant in a row")
        spoken.append(role)
    if spoken and spoken[-1] is not Speaker.ASSISTANT:
        yield Finding(Rule.NO_ANSWER, len(spoken) - 1, f"the conversation ends with a turn of the {spoken[-1]}")


def _empty(turn: int, message: Message) -> Iterator[Finding]:
    """A tool may return nothing, and an empty system prompt is none."""
    if message.role not in (Speaker.USER, Speaker.ASSISTANT) or not message.says_nothing:
        return
    text = message.content.strip()
    shown = f"only {quoted(text)}" if text and text.isprintable() else "nothing"
    has = "only reasoning" if message.reasoning_content else shown
    yield Finding(Rule.EMPTY_TURN, turn, f"the {message.role} says {has}")


class _Calls:
    """The calls that wait for their results."""

    def __init__(self) -> None:
        self._turn = 0
        self._waiting: list[str | None] = []
        """The ids of the calls; None for a call without one."""
        self._names: list[str] = []
        self._results = 0

    def findings(self, turn: int, message: Message) -> Iterator[Finding]:
        if message.role is Speaker.TOOL:
            yield from self._result(turn, message)
            return
        calls = message.tool_calls or ()
        # Calls in a row of the assistant's turns are calls in parallel.
        if not (calls and message.role is Speaker.ASSISTANT and not self._results):
            yield from self._missing()
            self._waiting, self._names, self._results = [], [], 0
        if calls and not self._waiting:
            self._turn = turn
        self._waiting += [call.id for call in calls]
        self._names += [call.function.name for call in calls]

    def _result(self, turn: int, message: Message) -> Iterator[Finding]:
        self._results += 1
        answered = message.tool_call_id
        if not self._names:
            yield Finding(Rule.STRAY_RESULT, turn, "a tool answers, but nothing was called")
        elif answered is not None and None not in self._waiting:
            if answered in self._waiting:
                at = self._waiting.index(answered)
                self._waiting[at] = ""
            else:
                yield Finding(Rule.STRAY_RESULT, turn, f"a tool answers {quoted(answered)}, which was not called")

    def _missing(self) -> Iterator[Finding]:
        """The calls that no tool answered; without ids one result may be that of several calls."""
        if not self._names:
            return
        if not self._results:
            lacking = self._names
        elif any(call_id == "" for call_id in self._waiting):
            lacking = [name for name, call_id in zip(self._names, self._waiting, strict=True) if call_id]
        else:
            lacking = []
        if lacking:
            yield Finding(Rule.MISSING_RESULT, self._turn, f"no tool answers the call of {', '.join(lacking[:5])}")
