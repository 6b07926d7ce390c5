"""What a lead needs to bring a team to a dataset's project: the link to join, the accounts, and the tabs."""

from pydantic import BaseModel

from pipeline.config.dataset_file import LoadedDataset
from pipeline.config.workspace import Connection
from pipeline.review.label_studio import LabelStudio
from pipeline.review.label_studio_models import Invitation, User
from pipeline.review.label_studio_requests import raw
from pipeline.review.label_studio_tabs import tabs
from pipeline.review.queue import marker
from pipeline.review.team_tabs import parts, tab_of_all

_WHAT = "cannot list the accounts"


class Account(BaseModel, frozen=True):
    """A user of the server."""

    id: int
    """As the annotations name their annotator."""
    email: str


class Page(BaseModel, frozen=True):
    """A page to open."""

    title: str
    url: str


class Team(BaseModel, frozen=True):
    """Who may annotate, and where."""

    invite: str
    """Whoever opens it makes an account of their own; treat it like a password."""
    accounts: list[Account]
    missing: list[str] = []
    """Who is named in ``review.annotators`` and has no account yet."""
    project: str = ""
    """The address of the dataset's project; empty if there is none yet."""
    tabs: list[Page] = []
    """Those that show a part of its tasks."""


def read_team(dataset: LoadedDataset, connection: Connection) -> Team:
    """Ask the server; nothing is changed.

    Raises:
        Unreachable: the server does not answer.
        LabelStudioError: it refuses; only an administrator may invite.
    """
    with LabelStudio(connection.url, connection.api_key) as client:
        client.check()
        link = client.requests.ask("cannot invite", Invitation, raw("GET", "api/invite")).invite_url
        users = client.requests.ask(_WHAT, list[User], lambda sdk: sdk.users.list())
        project = client.find_project(marker(dataset))
        shown = tabs(client.requests, project) if project else []
        own = parts(client.requests, project, shown) if project else []
    data = f"{client.url}/projects/{project}/data" if project else ""
    all_tasks = tab_of_all(shown)
    # Of who was removed the server has a number, and a word instead of the address.
    accounts = [Account(id=user.user_id, email=user.email) for user in users if "@" in user.email]
    there = {one.email.casefold() for one in accounts}
    return Team(
        invite=link if "://" in link else f"{client.url}{link}",
        accounts=accounts,
        missing=[name for name in dataset.config.review.annotators if name.casefold() not in there],
        project=data if all_tasks is None else f"{data}?tab={all_tasks}",
        tabs=[Page(title=tab.title, url=f"{data}?tab={tab.tab_id}") for tab in own],
    )
