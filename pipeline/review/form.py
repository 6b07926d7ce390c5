"""The annotators' form: a task's fields as a labeling config for Label Studio.

The workarounds come from a real browser: Label Studio's own controls lose typed minus
signs, steal the focus, and relabel on stray letters. The reasons are next to the code.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from pydantic import BaseModel

from pipeline.errors import ConfigError
from pipeline.kinds.registry import kind_of
from schemas.annotation import Verdict
from schemas.field import TargetField, ValueType
from schemas.task import Role, Task

REVIEW = "goldleaf-review"
"""The control for *unusable* and *unsure*; no target can have this name, since Python names have no hyphens."""
PUSH_KEY, RECORD_ID, WHY = "push_key", "record_id", "why"
"""Goldleaf's own keys in a labeling task's data."""
YES, NO = "yes", "no"
"""The choices of a boolean."""
VALUE_KEYS = {"choices": "choices", "textarea": "text", "number": "number", "datetime": "datetime"}
"""The controls whose results can be read (a task's own form may have others), and where the value is."""

_RESERVED = "|".join([PUSH_KEY, RECORD_ID, WHY, "source"])  # $source renders the whole task as JSON
_DIGITS = "1234567890"
_FILTER_LETTERS = "fghjk"
_DEAD_KEY = {"hotkey": "f19", "style": "order: 0"}
"""A choice without a hotkey is given a letter, and then stray typing relabels; no keyboard has this key. The
style only serves to find and hide its hint."""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_COMMENT = re.compile(r"/\*.*?\*/\n", re.DOTALL)
_STYLE = "\n" + _COMMENT.sub("", files("pipeline.review").joinpath("form.css").read_text(encoding="utf-8"))


class Control(BaseModel):
    """A control of a labeling config, as needed to read results."""

    tag: str
    """In lower case, as results name it."""
    to_name: str


def labeling_config(task: type[Task]) -> str:
    """The task's form: its own, or one built from its fields.

    Raises:
        ConfigError: a choice cannot be shown, or the task's own form has no control for a target.
    """
    config = task.task_labeling_config() or _form(task)
    known = controls(config)
    for field in task.task_targets():
        if field.name not in known:
            raise ConfigError(
                f"{task.__name__}.task_labeling_config has no readable control named '{field.name}'; "
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
    inputs = task.task_names(Role.INPUT)
    to_name = _object_name(inputs[0])
    why = _tag("Header", {"value": f"${WHY}", "size": "5", "style": "margin: 0"})
    # A hidden control is not required: once "unusable" is chosen, an empty form can be submitted.
    until_reviewed = {"visibleWhen": "choice-unselected", "whenTagName": REVIEW, "className": "goldleaf-fields"}
    return _tag(
        "View",
        {"className": "goldleaf"},
        f"<Style>{_STYLE}</Style>",
        _view("goldleaf-text", *(_input(name, titled=len(inputs) > 1) for name in inputs)),
        _view(
            "goldleaf-form",
            *_instruction(task),
            _view("goldleaf-why", _header("Why you see this"), why),
            _tag("View", until_reviewed, *_fields(task, to_name)),
            _review(to_name),
        ),
    )


def _instruction(task: type[Task]) -> list[str]:
    """The first paragraph as a heading, the rest smaller: the choices should be visible without scrolling."""
    question, _, rest = task.task_instruction().partition("\n\n")
    return [_header(question, size=4), *([_view("goldleaf-rest", _header(rest.strip()))] if rest.strip() else [])]


def _object_name(field: str) -> str:
    return f"show-{data_key(field)}"


def _input(name: str, titled: bool) -> str:
    text = _tag("Text", {"name": _object_name(name), "value": f"${data_key(name)}", "selectionEnabled": "false"})
    return _view("goldleaf-input", _header(_title(name)) if titled else "", text)


def _fields(task: type[Task], to_name: str) -> list[str]:
    """One labeled control per target; choices share the hotkeys in the order of the fields."""
    # Next to text fields a digit is easily typed in the wrong place (and the number pad's digits reach the hotkeys even
    # from inside), so there they need Shift.
    plain = list(_DIGITS) if kind_of(task).digits_answer else []
    keys = iter(plain + [f"shift+{digit}" for digit in _DIGITS])
    filter_keys = iter([f"shift+{letter}" for letter in _FILTER_LETTERS])
    return [
        _view("goldleaf-field", _header(_label(field)), _hint(field), _control(field, to_name, keys, filter_keys))
        for field in task.task_targets()
    ]


def _control(field: TargetField, to_name: str, keys: Iterator[str], filter_keys: Iterator[str]) -> str:
    common = {"name": field.name, "toName": to_name}
    if not field.optional:
        message = f"Fill in: {_title(field.name)}. Or choose unusable or unsure."
        common |= {"required": "true", "requiredMessage": message}
    match field.type:
        case ValueType.CHOICE | ValueType.BOOLEAN:
            return _choices(field, common, keys, filter_keys)
        case ValueType.DATE:
            return _tag("DateTime", common | {"only": "date"})
        case ValueType.TEXT | ValueType.INTEGER | ValueType.NUMBER:
            # Numbers too: Label Studio's Number turns a typed -7 into 7 and 0.05 into 5, steps with the
            # mouse wheel, cannot be emptied, and loses the form over an integer beyond 2^53.
            one_line = field.many or field.type is not ValueType.TEXT
            opened = {"editable": "true", "transcription": "true", "rows": "1" if one_line else "2"}
            one = {"showSubmitButton": "false", "maxSubmissions": "1"}
            return _tag("TextArea", common | opened | ({"showSubmitButton": "true"} if field.many else one))


def _choices(field: TargetField, common: Mapping[str, str], keys: Iterator[str], filter_keys: Iterator[str]) -> str:
    values = (YES, NO) if field.type is ValueType.BOOLEAN else field.choices
    # Radio buttons cannot be cleared, which an optional field needs.
    style = {"choice": "single" if field.optional else "single-radio", "showInline": "true"}
    choices = _tag("Choices", {**common, **style}, *(_choice(field, value, next(keys, None)) for value in values))
    if len(values) <= len(_DIGITS):
        return choices
    return _view("goldleaf-many", _filter(field, next(filter_keys, None)), choices)


def _filter(field: TargetField, key: str | None) -> str:
    shown = f" ({key.title()})" if key else ""
    found = {"name": f"filter-{field.name}", "toName": field.name} | ({"hotkey": key} if key else {})
    return _tag("Filter", found | {"minlength": "0", "placeholder": f"Filter{shown}, Enter selects the first"})


def _choice(field: TargetField, value: str, key: str | None) -> str:
    if _NOT_XML.search(value):
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


def _label(field: TargetField) -> str:
    return f"{_title(field.name)} (optional)" if field.optional else _title(field.name)


def _hint(field: TargetField) -> str:
    formats = {
        ValueType.INTEGER: "A whole number such as 1200 (no separators)",
        ValueType.NUMBER: "A number such as 1234.5 (no thousands separators)",
    }
    entries = "Enter adds an entry; empty entries are dropped" if field.many else ""
    text = "\n".join(line for line in (field.description, formats.get(field.type, ""), entries) if line)
    return _view("goldleaf-hint", _header(text)) if text else ""


def _title(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.replace("_", " "))  # timeRange too
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
