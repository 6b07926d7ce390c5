"""Chat with the assistant of a home, which calls functions on the device."""

from schemas.task import Context, Conversation, Task, Tools


class HomeAssistant(Task):
    """Answer as the assistant of this home.

    Call a function for whatever has to be changed or measured, with the values that the user named, and then say in
    one or two short sentences what was done. Ask back if the room or the time is missing. Never invent a measurement
    or a function, and answer in the language of the user.
    """

    messages: Conversation
    tools: Tools
    device: Context[str | None] = None
    """Which device heard the user."""
