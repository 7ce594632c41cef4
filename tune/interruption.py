"""What ends a session from outside: Ray died, or the run folder cannot be written. The sweep can be resumed."""


class Interruption(BaseException):
    """The reason, in one line. No Exception: Ray's own handlers would catch it, and wait for what is no longer there."""
