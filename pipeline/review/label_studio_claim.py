"""One home asks the questions of a project: a claim that the server keeps, and the highest version that it has seen.

Both are labels of the server's organization, which no form shows. The server creates a label with a title once, and
gives the existing one to everybody who asks for another with the same title. The claim names the run that sent
questions last: a home that knows it goes on, and any other, such as a colleague's, a copy or an older backup, would
take back what it does not know. A server without such labels is used without them: what two homes send at once is
reconciled by the next push.
"""

import re
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pipeline.errors import Busy
from pipeline.review.label_studio_models import Label
from pipeline.review.label_studio_requests import Refused, Requests, raw

_WHAT = "cannot reserve the project"
_FORM_FIELD = "goldleaf-lease"
"""No control of ours has this name."""
_TRIES = 4
_VERSION = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}", re.ASCII)
_UNKNOWN = (400, 403, 404, 405)


def _create_or_get(requests: Requests, project: int, title: str, value: Mapping[str, str]) -> Label | None:
    """The label with a title, with this value if there was none; None if the server has no such labels."""
    new = {"project": project, "from_name": _FORM_FIELD, "title": title, "value": value}
    attempt = 0
    while True:
        try:
            [label] = requests.ask(_WHAT, tuple[Label], raw("POST", "api/labels/", [new]))
        except Refused as error:
            if error.status in _UNKNOWN:
                return None
            # Of two that create it at the same moment, the database refuses one.
            attempt += 1
            if attempt == _TRIES:
                raise
        else:
            return label


@dataclass(frozen=True)
class Home:
    """Who asks the questions of a project."""

    dataset: str
    place: str
    """Its folder, for people."""
    runs: Collection[str]
    """All that it knows."""


def claim(requests: Requests, project: int, server: str, home: Home, *, take_over: bool) -> None:
    """Make sure that a home is the one that asks the questions of a project, and note how far it has come.

    Raises:
        Busy: another home asks them, or this one has been put back to an earlier state since.
    """
    value = {"run": max(home.runs, default=""), "host": socket.gethostname(), "home": home.place}
    label = _create_or_get(requests, project, f"goldleaf sends the questions of project {server} from one home", value)
    if label is None or label.value == value:
        return
    known = label.value
    if known.get("run") not in home.runs and not take_over:
        raise Busy(
            f"the questions of '{home.dataset}' are sent from {known.get('home')} on {known.get('host')}, and this "
            "home does not know what was sent last; it has sent nothing. To send from here from now on, and no longer "
            "from there: `goldleaf reconcile --take-over`"
        )
    requests.tell(_WHAT, raw("PATCH", f"api/labels/{label.label_id}/", {"value": value}))


def note_version(requests: Requests, project: int, server: str, version: str) -> str:
    """Note that a version of a project was published, if any; returns the highest one that was noted before, if any."""
    value = {"version": version}
    label = _create_or_get(requests, project, f"goldleaf has published versions of project {server}", value)
    noted = str(label.value.get("version")) if label else ""
    seen = noted if _VERSION.fullmatch(noted) else ""
    if label and _order(version) > _order(seen):
        requests.tell(_WHAT, raw("PATCH", f"api/labels/{label.label_id}/", {"value": value}))
    return seen


def _order(version: str) -> list[int]:
    return [int(number) for number in version.split(".") if number]
