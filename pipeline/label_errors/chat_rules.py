"""Doubts a conversation by rules, each of which can be turned off by its name."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pipeline.label_errors.chat_answers import answer_findings
from pipeline.label_errors.chat_calls import call_findings
from pipeline.label_errors.chat_findings import Finding as Finding
from pipeline.label_errors.chat_findings import Rule as Rule
from pipeline.label_errors.chat_order import order_findings
from schemas.message import Message

_WEIGHT = {rule: weight for weight, rule in enumerate(Rule)}


def doubts(
    messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None, off: Collection[Rule] = ()
) -> list[Finding]:
    """What is doubted in a conversation, the weightiest first.

    The order of all turns is judged, and what the assistant says, unless its turn has the weight 0.

    Args:
        messages: the conversation.
        tools: the definitions of the functions that the assistant may call.
        off: rules that are not applied.
    """
    found = [*order_findings(messages), *call_findings(messages, tools), *answer_findings(messages)]
    return sorted((one for one in found if one.rule not in off), key=lambda one: (_WEIGHT[one.rule], one.turn))
