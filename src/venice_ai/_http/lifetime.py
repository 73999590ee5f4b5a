"""Whether a client may still send."""


class Lifetime:
    """Whether a client is closed; its views and what sends their requests share it."""

    closed: bool = False
