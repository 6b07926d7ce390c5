"""From a task to a form in Label Studio, and from what people submit back to the task's targets.

Nothing here talks to a server: the forms are XML, tasks and results are the JSON that Label Studio
imports and exports. ``pipeline.label_studio`` carries them.

What the forms take care of was seen in a real browser, see the comments beside it; the longer stories
are in ``docs/decisions.md``.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import ConfigError, LabelStudioError
from schemas.annotation import Verdict
from schemas.field import JsonValue, TargetField, ValueType, canonical
from schemas.task import Kind, Role, Task

REVIEW = "goldleaf-review"
"""The control for *unusable* and *unsure*; no target can have this name, a hyphen is no part of a Python name."""

PUSH_KEY, RECORD_ID, WHY = "push_key", "record_id", "why"
"""Keys of our own in a labeling task's data."""

_RESERVED = "|".join([PUSH_KEY, RECORD_ID, WHY, "source"])  # $source renders the whole task as JSON
_YES, _NO = "yes", "no"
_DIGITS = "1234567890"
_DEAD_KEY = {"hotkey": "f19", "style": "order: 0"}
"""A choice without a hotkey is given a letter, and then stray typing relabels; nobody has this key. The
style has no effect but that its hint can be found and hidden."""
_VALUE_KEYS = {"choices": "choices", "textarea": "text", "number": "number", "datetime": "datetime"}
"""The controls that can be read (a form of the user's own may have others), and where the value is."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# No "<", ">" or "&": Label Studio takes the element's markup, not its text. Colours are mixed from the
# current one, so that they fit the dark theme. Text fields open with the focus, which would swallow the
# hotkeys; what is invisible in its first millisecond cannot take it.
_STYLE = """
.goldleaf { display: flex; flex-wrap: wrap; gap: 16px 32px; align-items: flex-start; padding: 4px 8px 24px; }
.goldleaf h3, .goldleaf h4 { overflow-wrap: anywhere; white-space: pre-line; line-height: 1.4; }
.goldleaf h3 { font-size: 18px; }
.goldleaf h4 { font-size: 15px; }
.goldleaf-text { flex: 3 1 420px; min-width: 0; max-width: 80ch; overflow-wrap: anywhere; }
.goldleaf-text .lsf-richtext__line { white-space: pre-wrap; line-height: 1.6; }
.goldleaf-input { margin-bottom: 16px; }
.goldleaf-form { flex: 2 1 320px; min-width: 0; position: sticky; top: 0; }
.goldleaf-why { margin: 12px 0 16px; padding: 8px 12px; border-left: 4px solid #e0a100; border-radius: 4px;
  background: color-mix(in srgb, #e0a100 12%, transparent); }
.goldleaf-why h4 + h4, .goldleaf-hint h4 { font-size: 14px; font-weight: 400; }
.goldleaf-hint { opacity: 0.7; }
.goldleaf-field { margin-bottom: 14px; }
.goldleaf-field textarea { field-sizing: content; height: auto !important; max-height: 40vh; }
.goldleaf-field [data-testid="textarea-regions"], .goldleaf-field .htx-datetime { margin: 0 !important; }
.goldleaf-field .htx-datetime input { margin: 4px; }
.goldleaf-field .lsf-choices, .goldleaf-review .lsf-choices { margin: 6px 0 0; }
.goldleaf-many .ant-input { background: transparent; color: inherit; }
.goldleaf-many .lsf-choices { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); }
.goldleaf-review { padding-top: 10px; border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
.goldleaf input, .goldleaf textarea { animation: goldleaf-unfocused 1ms; }
@keyframes goldleaf-unfocused { from, to { visibility: hidden; } }
.goldleaf [style*="order: 0"] sup { display: none; }
@media (max-width: 900px) { .goldleaf-text { max-height: 45vh; overflow-y: auto; } .goldleaf-form { position: static; } }
"""


class Question(BaseModel):
    """What people are asked about one record."""

    model_config = ConfigDict(frozen=True)

    push_key: str
    record_id: str
    inputs: dict[str, Any]
    why: str
    """Why they see it, in words."""
    proposal: dict[str, JsonValue] | None = None
    """Targets to start from: the record's own, or a model's suggestion; some may be missing."""
    score: float | None = Field(default=None, ge=0, le=1)
    """How sure the model is of the proposal."""


class Answer(BaseModel):
    """What one annotation amounts to."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    targets: dict[str, JsonValue] | None = None
    """Canonical; only of a labeled record."""
    error: str = ""
    """What is wrong with an invalid answer, by field, and what to do."""


class _Control(BaseModel):
    """A control of a labeling config, as far as results need to know it."""

    tag: str
    to_name: str


def data_key(field: str) -> str:
    """The key of an input in a labeling task's data.

    Reserved names get an underscore, and names that look like one of those another, so that no two
    fields share a key; letters beyond ASCII are spelled out, as ``$name`` takes no others.
    """
    ascii_name = re.sub(r"[^\x00-\x7f]", lambda letter: f"_u{ord(letter[0]):x}_", field)
    return f"{ascii_name}_" if re.fullmatch(rf"({_RESERVED})_*", ascii_name) else ascii_name


# --- the form -------------------------------------------------------------------------------------
def labeling_config(task: type[Task]) -> str:
    """The task's form: its own one, or one that is built from its fields.

    Raises:
        ConfigError: a choice cannot be shown, or the task's own form has no control for a target.
    """
    config = task.task_labeling_config() or _form(task)
    controls = _controls(config)
    for field in task.task_targets():
        if field.name not in controls:
            raise ConfigError(
                f"{task.__name__}.task_labeling_config has no control named '{field.name}' that Goldleaf can read; "
                f"name a {', '.join(tag.title() for tag in _VALUE_KEYS)} element like the target"
            )
    return config


def _form(task: type[Task]) -> str:
    inputs = task.task_names(Role.INPUT)
    is_required = {"visibleWhen": "choice-unselected", "whenTagName": REVIEW}
    return _tag(
        "View",
        {"className": "goldleaf"},
        f"<Style>{_STYLE}</Style>",
        _view("goldleaf-text", *(_input(name, titled=len(inputs) > 1) for name in inputs)),
        _view(
            "goldleaf-form",
            _view("goldleaf-instruction", _header(task.task_instruction(), size=4)),
            _view(
                "goldleaf-why",
                _header("Why you see this", size=5),
                _tag("Header", {"value": f"${WHY}", "size": "5", "style": "margin: 0"}),
            ),
            # A hidden control is not required: after "unusable" an empty form can be submitted.
            _tag("View", is_required, *_fields(task, to_name=_object_name(inputs[0]))),
            _review(to_name=_object_name(inputs[0])),
        ),
    )


def _object_name(field: str) -> str:
    return f"show-{data_key(field)}"


def _input(name: str, titled: bool) -> str:
    text = _tag("Text", {"name": _object_name(name), "value": f"${data_key(name)}", "selectionEnabled": "false"})
    return _view("goldleaf-input", _header(_title(name), size=5) if titled else "", text)


def _fields(task: type[Task], to_name: str) -> list[str]:
    """One labelled control per target; choices share the hotkeys in the order of the fields."""
    fields = task.task_targets()
    # In a form with text fields a digit is soon typed beside one (and the number pad's digits reach the
    # hotkeys even inside), so there they need Shift.
    plain = list(_DIGITS) if task.task_kind() is Kind.CLASSIFICATION else []
    keys = iter(plain + [f"shift+{digit}" for digit in _DIGITS])
    return [
        _view("goldleaf-field", _header(_label(field), size=5), _hint(field), _control(field, to_name, keys))
        for field in fields
    ]


def _control(field: TargetField, to_name: str, keys: Iterator[str]) -> str:
    common = {"name": field.name, "toName": to_name}
    if not field.optional:
        common |= {
            "required": "true",
            "requiredMessage": f"Fill in: {_title(field.name)}. Or choose unusable or unsure.",
        }
    match field.type:
        case ValueType.CHOICE | ValueType.BOOLEAN:
            return _choices(field, common, keys)
        case ValueType.DATE:
            return _tag("DateTime", common | {"only": "date"})
        case _:
            # Numbers too: Label Studio's Number turns a typed -7 into 7 and 0.05 into 5, steps with the
            # mouse wheel, cannot be emptied, and loses the form over an integer beyond 2^53.
            one_line = field.many or field.type is not ValueType.TEXT
            several = (
                {"showSubmitButton": "true"} if field.many else {"showSubmitButton": "false", "maxSubmissions": "1"}
            )
            opened = {"editable": "true", "transcription": "true", "rows": "1" if one_line else "2"}
            return _tag("TextArea", common | opened | several)


def _choices(field: TargetField, common: Mapping[str, str], keys: Iterator[str]) -> str:
    values = (_YES, _NO) if field.type is ValueType.BOOLEAN else field.choices
    # Radio buttons cannot be emptied, which an optional field needs.
    style = {"choice": "single" if field.optional else "single-radio", "showInline": "true"}
    chosen = [_choice(field, value, next(keys, None)) for value in values]
    choices = _tag("Choices", {**common, **style}, *chosen)
    if len(values) <= len(_DIGITS):
        return choices
    found = {"name": f"filter-{field.name}", "toName": field.name, "hotkey": "shift+f", "minlength": "0"}
    filter_box = _tag("Filter", found | {"placeholder": "Filter (Shift+F), Enter takes the first"})
    return _view("goldleaf-many", filter_box, choices)


def _choice(field: TargetField, value: str, key: str | None) -> str:
    if not value.strip() or _NOT_XML.search(value):
        raise ConfigError(
            f"the choice {value!r} of '{field.name}' is empty or holds a character that no form can show; rename it"
        )
    shown = _literal(value)
    attributes = {"value": shown} | ({"hotkey": key} if key else _DEAD_KEY)
    return _tag("Choice", attributes | ({} if shown == value else {"alias": value}))


def _review(to_name: str) -> str:
    unusable = {"value": Verdict.UNUSABLE, "hotkey": "alt+x", "hint": "The example should not be in the dataset"}
    unsure = {"value": Verdict.UNSURE, "hotkey": "alt+u", "hint": "Somebody else should decide"}
    choices = _tag(
        "Choices",
        {"name": REVIEW, "toName": to_name, "choice": "single", "showInline": "true"},
        _tag("Choice", unusable),
        _tag("Choice", unsure),
    )
    done = _tag(
        "View",
        {"visibleWhen": "choice-selected", "whenTagName": REVIEW, "className": "goldleaf-hint"},
        _header("Nothing else is needed. Choose it again to go back.", size=5),
    )
    tip = _view("goldleaf-hint", _header("Ctrl+Enter submits while the cursor is in no field.", size=5))
    return _view("goldleaf-review", choices, done, tip)


def _label(field: TargetField) -> str:
    return f"{_title(field.name)} (optional)" if field.optional else _title(field.name)


def _hint(field: TargetField) -> str:
    formats = {
        ValueType.INTEGER: "A whole number such as 1200 (no separators)",
        ValueType.NUMBER: "A number such as 1234.5 (no thousands separators)",
    }
    lines = [
        field.description,
        formats.get(field.type, ""),
        "Enter adds an entry; an emptied one is left out" if field.many else "",
    ]
    text = "\n".join(line for line in lines if line)
    return _view("goldleaf-hint", _header(text, size=5)) if text else ""


def _title(name: str) -> str:
    return name.replace("_", " ").strip().capitalize()


def _header(text: str, size: int) -> str:
    return _tag("Header", {"value": _literal(_NOT_XML.sub("", text)), "size": str(size), "style": "margin: 0"})


def _view(name: str, *children: str) -> str:
    return _tag("View", {"className": name}, *children)


def _tag(tag: str, attributes: Mapping[str, Any], *children: str) -> str:
    written = "".join(f" {name}={quoteattr(str(value))}" for name, value in attributes.items())
    return f"<{tag}{written}>{''.join(children)}</{tag}>" if children else f"<{tag}{written}/>"


def _literal(text: str) -> str:
    """Keep ``$5`` from being read as a variable: a word joiner, which nobody sees, on both sides."""
    return text.replace("$", "\u2060$\u2060")


# --- to people ------------------------------------------------------------------------------------
def labeling_task(task: type[Task], question: Question, model_version: str) -> dict[str, Any]:
    """A question as Label Studio imports it: the data to show, and the proposal as a prediction.

    Raises:
        LabelStudioError: a text cannot be sent, or the proposal does not fit the form (the server would
            accept it and show something else).
    """
    shown = {data_key(name): _text(question.inputs.get(name)) for name in task.task_names(Role.INPUT)}
    keys = {WHY: question.why, RECORD_ID: question.record_id, PUSH_KEY: question.push_key}
    data = {key: _sendable(text, f"'{key}' of record {question.record_id}") for key, text in (shown | keys).items()}
    result = prediction_result(task, question.proposal or {})
    if not result:
        return {"data": data}
    prediction: dict[str, Any] = {"model_version": model_version, "result": result}
    if question.score is not None:
        prediction["score"] = question.score
    return {"data": data, "predictions": [prediction]}


def prediction_result(task: type[Task], targets: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Targets as Label Studio's regions; a missing target has none.

    Raises:
        LabelStudioError: a value is none that its field can have.
    """
    controls = _controls(labeling_config(task))
    regions = []
    for field in task.task_targets():
        control, value = controls[field.name], _fitting(field, targets.get(field.name))
        if value in (None, []):
            continue
        regions.append(
            {
                "id": field.name,
                "from_name": field.name,
                "to_name": control.to_name,
                "type": control.tag,
                "value": {_VALUE_KEYS[control.tag]: _written(control.tag, value)},
            }
        )
    return regions


def _fitting(field: TargetField, value: Any) -> JsonValue:
    """A proposed value in canonical form, refused if the form could not show it."""
    try:
        fitting = canonical(field, value)
    except (TypeError, ValueError) as error:
        raise LabelStudioError(f"the proposal {value!r} is no {field.type} for '{field.name}'") from error
    if field.type is ValueType.CHOICE and fitting not in (None, *field.choices):
        raise LabelStudioError(f"the proposal {value!r} is none of the choices of '{field.name}'")
    for text in fitting if isinstance(fitting, list) else [fitting]:
        if isinstance(text, str):
            _sendable(text, f"the proposal for '{field.name}'")
    return fitting


def _written(tag: str, value: JsonValue) -> Any:
    if tag in ("number", "datetime"):
        return value
    texts = value if isinstance(value, list) else [value]
    return [_plain(text) for text in texts]


def _plain(value: JsonValue) -> str:
    if isinstance(value, bool):
        return _YES if value else _NO
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _sendable(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise LabelStudioError(
            f"{where} holds half a surrogate pair at character {error.start}, which JSON cannot carry; mend the source"
        ) from error
    return text.replace("\x00", "")  # PostgreSQL takes no NUL


# --- back from people -----------------------------------------------------------------------------
def read_result(task: type[Task], result: list[dict[str, Any]], was_cancelled: bool) -> Answer:
    """What an annotation's result says; a skipped task says nothing, though its result is full."""
    if was_cancelled:
        return Answer(verdict=Verdict.SKIPPED)
    values = {region["from_name"]: region.get("value") or {} for region in result if "from_name" in region}
    if review := values.get(REVIEW, {}).get("choices"):
        return Answer(verdict=Verdict(review[0]))
    read, errors = {}, []
    for field in task.task_targets():
        try:
            read[field.name] = _read(field, values.get(field.name, {}))
        except ValueError as error:
            errors.append(f"{field.name}: {error}")
    if not errors:
        try:
            return Answer(verdict=Verdict.LABELED, targets=task.task_validate_targets(read))
        except ValidationError as error:
            errors = [_problem(item) for item in error.errors(include_url=False, include_context=False)]
    return Answer(
        verdict=Verdict.INVALID, error=f"{'; '.join(errors)}. Correct the annotation in Label Studio and update it."
    )


def _read(field: TargetField, value: Mapping[str, Any]) -> Any:
    """The value of one region as the task's model takes it; None where nothing was entered."""
    found = next((value[key] for key in _VALUE_KEYS.values() if key in value), None)
    entries = found if isinstance(found, list) else [] if found is None else [found]
    filled = [entry for entry in entries if not (isinstance(entry, str) and not entry.strip())]
    if field.many:
        return [str(entry) for entry in filled]
    if len(filled) > 1:
        raise ValueError(f"{len(filled)} values where one is expected, {filled}")
    if not filled:
        return None
    if field.type is ValueType.BOOLEAN:
        return {_YES: True, _NO: False}.get(filled[0], filled[0])
    return filled[0]


def _problem(item: Mapping[str, Any]) -> str:
    field = ".".join(str(part) for part in item["loc"])
    return (
        f"{field}: nothing was entered"
        if item["type"] == "missing"
        else f"{field}: {item['msg']}, got {item['input']!r}"
    )


@functools.lru_cache(maxsize=32)
def _controls(config: str) -> dict[str, _Control]:
    """The controls of a labeling config that can be read, by name."""
    controls: dict[str, _Control] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag.lower() in _VALUE_KEYS and {"name", "toName"} <= attributes.keys():
            controls[attributes["name"]] = _Control(tag=tag.lower(), to_name=attributes["toName"].split(",")[0])

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        parser.Parse(config, True)
    except expat.ExpatError as error:
        raise ConfigError(f"the labeling config is no XML: {error}") from error
    return controls
