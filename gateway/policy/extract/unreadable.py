"""The one way in which a reader gives up. Its words are fixed texts: nothing that a client sent is ever repeated."""


class Unreadable(ValueError):
    """The text has no meaning that every server would agree on; `str()` says why."""
