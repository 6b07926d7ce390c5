"""The task of this dataset: conversations, and the tools that the assistant may call in them."""

from pydantic import Field

from schemas.task import Conversation, Task, Tools


class LibraryDesk(Task):
    """Answer as the desk of a library: kindly, in one or two sentences, and with the tools where they can tell."""

    messages: Conversation
    tools: Tools = Field(default_factory=list)
