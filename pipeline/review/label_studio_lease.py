"""One home asks the questions of a project, and one process of it at a time: a claim, and a lease that expires.

Both are labels of the server's organization, which no form shows. The server creates a label with a title once, and
gives the existing one to everybody who asks for another with the same title; so whose value it has holds the lease.
The claim names the run that sent questions last: a home that knows it goes on, and any other, such as a colleague's, a
copy or an older backup, would take back what it does not know. Times are the server's. A server without such labels
is used without either: what two pushers send at once is reconciled by the next push.
"""

import re
import secrets
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from pipeline.errors import Busy, LabelStudioError
from pipeline.review.label_studio_models import Label
from pipeline.review.label_studio_requests import Refused, Requests, raw

EXPIRES = timedelta(minutes=10)
"""How long a pusher that was killed keeps those on other machines waiting; longer than an import and the
look-up after it may take."""
_RENEWED = 20.0
"""Seconds after which the lease is renewed, before the next request that changes something."""
_WHAT = "cannot reserve the project"
_FORM_FIELD = "goldleaf-lease"
"""No control of ours has this name."""
_TRIES = 4
_GONE = 404
_VERSION = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}", re.ASCII)
_UNKNOWN = (400, 403, _GONE, 405)


class Lease:
    """The right to push to a project; others may take it over if it is not renewed."""

    def __init__(self, requests: Requests, project: int, server: str, holder: str, name: str) -> None:
        self._requests, self._project, self._holder, self._name = requests, project, holder, name
        self._title = f"goldleaf is sending questions to project {server}"
        self._mark = secrets.token_hex(8)
        self._label: int | None = None
        self._renewed = 0.0

    def take(self) -> None:
        """Become the only pusher, or report who is; one of the same holder was killed.

        Raises:
            Busy: another machine sends questions.
            LabelStudioError: as for all requests.
        """
        host = "another machine"
        for _ in range(_TRIES):
            found = _create_or_get(self._requests, self._project, self._title, self._value)
            if found is None:
                return
            if found.value.get("mark") == self._mark:
                self._label, self._renewed = found.label_id, time.monotonic()
                return
            host = found.value.get("host", host)
            if found.value.get("holder") != self._holder and not self._is_expired(found):
                break
            self._delete(found.label_id)
        raise Busy(
            f"'{self._name}' is in use by goldleaf curate (sending questions) on {host}; the next curate sends the rest"
        )

    def keep(self) -> None:
        """Renew it if it is time to; call it before every request that changes something.

        Raises:
            Busy: it has expired, and another machine has taken it over.
        """
        if self._label is None or time.monotonic() - self._renewed < _RENEWED:
            return
        began = time.monotonic()
        try:
            self._requests.tell(_WHAT, raw("PATCH", f"api/labels/{self._label}/", {"value": self._value}))
        except Refused as error:
            if error.status != _GONE:
                raise
            self._label = None
            raise Busy(
                f"another machine has begun to send questions of '{self._name}', since this one took too long; "
                "the next curate sends the rest"
            ) from error
        self._renewed = began

    def end(self) -> None:
        """Give it back; if the server does not answer, it expires."""
        if self._label is not None:
            label, self._label = self._label, None
            with suppress(LabelStudioError):
                self._delete(label)

    # --- the label --------------------------------------------------------------------------------
    @property
    def _value(self) -> dict[str, str]:
        return {"mark": self._mark, "holder": self._holder, "host": socket.gethostname()}

    def _is_expired(self, label: Label) -> bool:
        clock = self._requests.transport.clock
        return clock is not None and clock - label.updated_at > EXPIRES

    def _delete(self, label: int) -> None:
        """Delete by id, which is never used again: whoever has taken it over meanwhile keeps it."""
        try:
            self._requests.tell(_WHAT, raw("DELETE", f"api/labels/{label}/"))
        except Refused as error:
            if error.status != _GONE:
                raise


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

    Args:
        requests: of a client.
        project: its id.
        server: its identity.
        home: ours.
        take_over: from another one.

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


@contextmanager
def leased(requests: Requests, project: int, server: str, holder: str, name: str) -> Iterator[Lease]:
    """Hold the lease of a project.

    Args:
        requests: of a client.
        project: its id.
        server: its identity.
        holder: tells this home on this machine from all others: of one holder only one is ever at work.
        name: of the dataset, for errors.

    Raises:
        Busy: another machine holds it.
    """
    lease = Lease(requests, project, server, holder, name)
    lease.take()
    try:
        yield lease
    finally:
        lease.end()
