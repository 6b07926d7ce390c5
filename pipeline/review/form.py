"""The annotators' form: a task's fields as a labeling config for Label Studio.

The workarounds come from a real browser: Label Studio's own controls lose typed minus
signs, steal the focus, and relabel on stray letters. The reasons are next to the code.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, assert_never
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from pydantic import BaseModel

from pipeline.errors import ConfigError
from pipeline.kinds.registry import kind_of
from pipeline.review.answer_turns import CALLS, TURN
from pipeline.review.form_fields import FormField, form_fields
from pipeline.review.guidelines import unwrapped
from pipeline.review.line_items import NO, YES, column_hints, heading
from pipeline.review.offered_answers import CANDIDATE, CANDIDATES, KEYS, NO_KEY
from schemas.annotation import Verdict
from schemas.answers_in_words import NO_LABEL
from schemas.field import TargetField, ValueType
from schemas.task import Role, Task
from schemas.task_fields import conversation_target, names_of, tools_field, turn_fields

REVIEW = "goldleaf-review"
"""The control for *unusable* and *unsure*; no target can have this name, since Python names have no hyphens."""
PUSH_KEY, RECORD_ID, WHY = "push_key", "record_id", "why"
CHANGES = "changes"
"""Goldleaf's own keys in a labeling task's data."""
SEAT, ASSIGNED = "seat", "assigned"
"""Keys that only the tasks of a team have: what an answer is for, and for whom the task is, by e-mail."""
ABSENT: Mapping[str, Any] = {CANDIDATES: [], CHANGES: ""}
"""What a form shows that a task of an earlier version of Goldleaf does not have, and what stands for it."""
NOTHING = "(none)"
"""Under the heading of a field that a row does not have."""
NONE = "goldleaf-none"
"""The choice that makes an empty set of labels an answer; without it nobody could tell it from no answer."""
VALUE_KEYS = {"choices": "choices", "textarea": "text", "number": "number", "datetime": "datetime"}
"""The controls whose results can be read (a task's own form may have others), and where the value is."""

_RESERVED = "|".join(
    [PUSH_KEY, RECORD_ID, WHY, CANDIDATES, CHANGES, SEAT, ASSIGNED, "source"]
)  # $source renders the whole task as JSON
_FILTERED = "filtered-"
_DIGITS = "1234567890"
_FILTER_LETTERS = "fghjk"
_DEAD_KEY = {"hotkey": NO_KEY, "style": "order: 0"}
"""A choice without a hotkey is given a letter, and then stray typing relabels; no keyboard has this key. The
style only serves to find and hide its hint."""
_CALLS_HINT = 'Calls of tools, each as name {"argument": "value"}'
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_COMMENT = re.compile(r"/\*.*?\*/\n", re.DOTALL)
_STYLE = "\n" + _COMMENT.sub("", files("pipeline.review").joinpath("form.css").read_text(encoding="utf-8"))


class Control(BaseModel):
    """A control of a labeling config, as needed to read results."""

    tag: str
    """In lower case, as results name it."""
    to_name: str


@functools.lru_cache(maxsize=8)
def labeling_config(task: type[Task]) -> str:
    """The task's form: its own, or one built from its fields; built once, as every task of the server needs it.

    Raises:
        ConfigError: a choice cannot be shown, or the task's own form has no control for a target.
    """
    config = task.task_labeling_config() or _form(task)
    known = controls(config)
    for asked in form_fields(task):
        if asked.control not in known:
            raise ConfigError(
                f"{task.__name__}.task_labeling_config has no readable control named '{asked.control}'; "
                "name a Choices, TextArea, Number or DateTime element like the target"
            )
    return config


@functools.lru_cache(maxsize=32)
def controls(config: str) -> Mapping[str, Control]:
    """The controls of a labeling config whose results can be read, by name.

    Raises:
        ConfigError: it is not XML.
    """
    found: dict[str, Control] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag.lower() in VALUE_KEYS and {"name", "toName"} <= attributes.keys():
            found[attributes["name"]] = Control(tag=tag.lower(), to_name=attributes["toName"].split(",")[0])

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        parser.Parse(config, True)
    except expat.ExpatError as error:
        raise ConfigError(f"the labeling config is not valid XML: {error}; fix task_labeling_config") from error
    return found


def data_key(field: str) -> str:
    """The key of an input in a labeling task's data, and so the variable that shows it.

    ``$name`` only allows ASCII, so other names are spelled in hex. Reserved names, and names that look like
    such a spelling, get an extra underscore, so that no two fields share a key.
    """
    if not field.isascii():
        return f"u_{field.encode().hex()}"
    return f"{field}_" if re.fullmatch(rf"({_RESERVED}|u_[0-9a-f]+)_*", field) else field


def _form(task: type[Task]) -> str:
    inputs, context = shown_fields(task), names_of(task, Role.CONTEXT)
    to_name = _object_name(inputs[0])
    why = _tag("Header", {"value": f"${WHY}", "size": "5", "style": "margin: 0"})
    # A hidden control is not required: once "unusable" is chosen, an empty form can be submitted.
    until_reviewed = {"visibleWhen": "choice-unselected", "whenTagName": REVIEW}
    until_chosen = {"visibleWhen": "choice-unselected", "whenTagName": CANDIDATE, "className": "goldleaf-fields"}
    return _tag(
        "View",
        {"className": "goldleaf"},
        f"<Style>{_STYLE}</Style>",
        _view(
            "goldleaf-text",
            *(_input(task, name, titled=len(inputs) > 1) for name in inputs),
            *([_changes()] if kind_of(task).free_texts(task) else []),
            *([_view("goldleaf-context", *(_context(task, name) for name in context))] if context else []),
        ),
        _view(
            "goldleaf-form",
            *_instruction(task),
            _view("goldleaf-why", _header("Why you see this"), why),
            _tag("View", until_reviewed, _candidates(to_name), _tag("View", until_chosen, *_fields(task, to_name))),
            _review(to_name),
        ),
    )


def _instruction(task: type[Task]) -> list[str]:
    """The first paragraph as a heading, the rest smaller: the choices should be visible without scrolling."""
    question, _, rest = unwrapped(task.task_instruction()).partition("\n\n")
    return [_header(question, size=4), *([_view("goldleaf-rest", _header(rest.strip()))] if rest.strip() else [])]


def _object_name(field: str) -> str:
    return f"show-{data_key(field)}"


def shown_fields(task: type[Task]) -> list[str]:
    """What annotators read: the inputs, and before the answer of a chat its earlier turns."""
    inputs, chat = task.task_names(Role.INPUT), conversation_target(task)
    return [*inputs, chat] if chat and chat not in inputs else list(inputs)


def _input(task: type[Task], name: str, titled: bool) -> str:
    return _view("goldleaf-input", _header(_title(name)) if titled else "", _shown(task, name))


def _changes() -> str:
    """The differences between original and answer."""
    marked = _html({"name": "show-changes", "value": f"${CHANGES}"})
    return _view("goldleaf-changes", _header("What the answer changes"), marked)


def _html(common: Mapping[str, str]) -> str:
    """HTML of our own making, in the page itself: only there do styles reach it."""
    return _tag("HyperText", {**common, "inline": "true", "selectionEnabled": "false"})


def _context(task: type[Task], name: str) -> str:
    return _view("goldleaf-fact", _header(_title(name)), _shown(task, name))


def _shown(task: type[Task], name: str) -> str:
    """The element that shows a value: a text, a conversation as bubbles, or what tools there are."""
    common = {"name": _object_name(name), "value": f"${data_key(name)}"}
    if name in turn_fields(task):
        return _view("goldleaf-turns", _html(common))
    if name == tools_field(task):
        return _view("goldleaf-tools", _html(common))
    return _tag("Text", common | {"selectionEnabled": "false"})


def shown_keys(config: str) -> set[str]:
    """What a form shows of a task's data."""
    return set(re.findall(r'"\$(\w+)"', config))


def _candidates(to_name: str) -> str:
    """Answers to accept with one key, from the task's data; nothing is shown if it has none."""
    common = {"name": CANDIDATE, "toName": to_name, "value": f"${CANDIDATES}", "choice": "single"}
    return _view("goldleaf-candidates", _header("Accept one, or fill in the form"), _tag("Choices", common))


def _fields(task: type[Task], to_name: str) -> list[str]:
    """One labeled control per target; choices share the hotkeys that candidates leave, in the order of the fields."""
    # Next to text fields a digit is easily typed in the wrong place (and the number pad's digits reach the hotkeys even
    # from inside), so there they need Shift.
    plain = list(_DIGITS) if kind_of(task).digits_answer else []
    keys = iter(plain + [key for digit in _DIGITS if (key := f"shift+{digit}") not in KEYS])
    filter_keys = iter([f"shift+{letter}" for letter in _FILTER_LETTERS])
    free = kind_of(task).free_texts(task)
    fields = []
    for asked in form_fields(task):
        control = _control(asked, to_name, keys, filter_keys)
        shown = _view("goldleaf-prose", control) if asked.control in free else control
        fields.append(_view("goldleaf-field", _header(_label(asked)), _hint(asked.field), shown))
    return fields


def _control(asked: FormField, to_name: str, keys: Iterator[str], filter_keys: Iterator[str]) -> str:
    # Label Studio ties no label to its text fields; screen readers take the placeholder for the name.
    named = {"name": asked.control, "toName": to_name, "placeholder": _label(asked)}
    field, common = asked.field, named if _has_editor(asked.field) else {"name": asked.control, "toName": to_name}
    if not field.optional:
        message = f"Fill in: {_title(asked.shown)}. Or choose unusable or unsure."
        common |= {"required": "true", "requiredMessage": message}
    match field.type:
        case ValueType.CHOICE | ValueType.BOOLEAN:
            return _choices(asked, common, keys, filter_keys)
        case ValueType.DATE if not field.many:
            return _tag("DateTime", common | {"only": "date"})
        case ValueType.TEXT if not field.many:
            return _editor(common, lines=2, many=False)
        case ValueType.OBJECT:
            return _view("goldleaf-table", _editor(common, lines=3, many=False))
        case ValueType.MESSAGES:
            return _turn_editors(asked, common)
        case (
            ValueType.TEXT
            | ValueType.INTEGER
            | ValueType.NUMBER
            | ValueType.DECIMAL
            | ValueType.DATE
            | ValueType.DATETIME
            | ValueType.TIME
        ):
            # Numbers too: Label Studio's Number turns a typed -7 into 7 and 0.05 into 5, steps with the
            # mouse wheel, cannot be emptied, and loses the form over an integer beyond 2^53.
            return _editor(common, lines=1, many=field.many)
        case _:
            assert_never(field.type)


def _has_editor(field: TargetField) -> bool:
    """Whether a field is filled in by typing a text."""
    chosen = field.type in (ValueType.CHOICE, ValueType.BOOLEAN)
    return not chosen and (field.many or field.type is not ValueType.DATE)


def _is_list(field: TargetField) -> bool:
    """Whether a field has an entry for each of its values; a list of objects is a table in one entry."""
    return field.many and field.type is not ValueType.OBJECT


def _editor(common: Mapping[str, str], *, lines: int, many: bool) -> str:
    """A text field that is open, and whose text counts without a click."""
    opened = {"editable": "true", "transcription": "true", "rows": str(lines)}
    one = {"showSubmitButton": "false", "maxSubmissions": "1"}
    return _tag("TextArea", {**common, **opened, **({"showSubmitButton": "true"} if many else one)})


def _turn_editors(asked: FormField, common: Mapping[str, str]) -> str:
    """The last turn and its calls in open editors, the whole answer in a hidden one."""
    plain = {"name": asked.control, "toName": common["toName"]}
    turn = {**plain, "name": f"{asked.control}-{TURN}", "placeholder": "Answer"}
    calls = {**plain, "name": f"{asked.control}-{CALLS}", "placeholder": "Calls of tools"}
    return "".join(
        [
            _editor(turn, lines=6, many=False),
            _view("goldleaf-calls", _view("goldleaf-hint", _header(_CALLS_HINT)), _editor(calls, lines=3, many=False)),
            _view("goldleaf-hidden", _editor(plain, lines=1, many=False)),
        ]
    )


def _choices(asked: FormField, common: Mapping[str, str], keys: Iterator[str], filter_keys: Iterator[str]) -> str:
    field = asked.field
    values = (YES, NO) if field.type is ValueType.BOOLEAN else field.choices
    # Radio buttons cannot be cleared, which an optional field needs.
    style = "multiple" if field.many else "single" if field.optional else "single-radio"
    parts = [_choice(field, value, next(keys, None)) for value in values]
    if field.many:
        # Of many choices, the last one would be out of sight.
        place = 0 if len(values) > len(_DIGITS) else len(parts)
        parts.insert(place, _tag("Choice", {"value": NO_LABEL, "alias": NONE, "hotkey": "alt+n"}))
    choices = _tag("Choices", {**common, "choice": style, "showInline": "true"}, *parts)
    if len(values) <= len(_DIGITS):
        return choices
    # Enter takes the first choice that the filter leaves, of an empty one the first of all, in place of what is chosen.
    # So the filter is over a control around the field's own, where that is a hidden choice which no text leaves.
    around = {"name": f"{_FILTERED}{asked.control}", "toName": common["toName"], "choice": "multiple"}
    nothing = _tag("Choice", {"value": "\u2060", **_DEAD_KEY, "style": "order: 0; display: none"})
    filtered = _tag("Choices", around, nothing, _view("goldleaf-all", choices))
    return _view("goldleaf-many", _filter(asked, next(filter_keys, None)), filtered)


def _filter(asked: FormField, key: str | None) -> str:
    shown = f" ({key.title()})" if key else ""
    over = {"name": f"filter-{asked.control}", "toName": f"{_FILTERED}{asked.control}"}
    found = over | ({"hotkey": key} if key else {})
    return _tag("Filter", found | {"minlength": "0", "placeholder": f"Filter{shown}, Enter selects the first"})


def _choice(field: TargetField, value: str, key: str | None) -> str:
    if _NOT_XML.search(value) or value == NONE:
        raise ConfigError(f"the choice {value!r} of '{field.name}' has a character that no form can show; rename it")
    shown = _literal(value)
    attributes = {"value": shown} | ({"hotkey": key} if key else _DEAD_KEY)
    # Long names break after an underscore. The value stays without breaks: the filter searches it.
    breaking = {"html": escape(shown).replace("_", "_<wbr>")} if "_" in shown else {}
    return _tag("Choice", attributes | breaking | ({} if shown == value else {"alias": value}))


def _review(to_name: str) -> str:
    unusable = {"value": Verdict.UNUSABLE, "hotkey": "alt+x", "hint": "The example should not be in the dataset"}
    unsure = {"value": Verdict.UNSURE, "hotkey": "alt+u", "hint": "Another annotator should decide"}
    choices = _tag(
        "Choices",
        {"name": REVIEW, "toName": to_name, "choice": "single", "showInline": "true"},
        _tag("Choice", unusable),
        _tag("Choice", unsure),
    )
    once_reviewed = {"visibleWhen": "choice-selected", "whenTagName": REVIEW, "className": "goldleaf-hint"}
    done = _tag("View", once_reviewed, _header("Nothing else is needed. Choose it again to undo."))
    tip = _view("goldleaf-hint", _header("Ctrl+Enter submits when the cursor is not in a field."))
    return _view("goldleaf-review", choices, done, tip)


def _label(asked: FormField) -> str:
    title = "Answer" if asked.field.type is ValueType.MESSAGES else _title(asked.shown)
    return f"{title} (optional)" if asked.field.optional and asked.field.type is not ValueType.MESSAGES else title


def _hint(field: TargetField) -> str:
    entries = "Enter adds an entry; empty entries are dropped" if _is_list(field) and not field.is_label_set else ""
    text = "\n".join(line for line in (field.description, _format_hint(field), entries) if line)
    return _view("goldleaf-hint", _header(text)) if text else ""


def _format_hint(field: TargetField) -> str:
    match field.type:
        case ValueType.INTEGER:
            return "A whole number such as 1200 (no separators)"
        case ValueType.NUMBER | ValueType.DECIMAL:
            return "A number such as 1234.5 (no thousands separators)"
        case ValueType.DATE if field.many:
            return "A date such as 2026-05-31"
        case ValueType.DATETIME:
            return "A date and time such as 2026-05-31 14:30"
        case ValueType.TIME:
            return "A time such as 14:30"
        case ValueType.OBJECT:
            return "\n".join([f"One line each: {heading(field)}", *column_hints(field)])
        case ValueType.CHOICE if field.many:
            return "All that apply"
        case ValueType.CHOICE | ValueType.BOOLEAN | ValueType.TEXT | ValueType.DATE | ValueType.MESSAGES:
            return ""
        case _:
            assert_never(field.type)


def _title(name: str) -> str:
    """A field's name in words; within an object after the object's."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.replace("_", " ").replace(".", ": "))  # timeRange too
    return spaced.strip().capitalize()


def _header(text: str, size: int = 5) -> str:
    shown = _literal(_NOT_XML.sub("", text))
    return _tag("Header", {"value": shown, "size": str(size), "style": "margin: 0"})


def _view(name: str, *children: str) -> str:
    return _tag("View", {"className": name}, *children)


def _tag(tag: str, attributes: Mapping[str, Any], *children: str) -> str:
    written = "".join(f" {name}={quoteattr(str(value))}" for name, value in attributes.items())
    return f"<{tag}{written}>{''.join(children)}</{tag}>" if children else f"<{tag}{written}/>"


def _literal(text: str) -> str:
    """Keep ``$5`` from being read as a variable: an invisible word joiner on both sides."""
    return text.replace("$", "\u2060$\u2060")
