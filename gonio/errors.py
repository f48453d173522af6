"""The exceptions that every part raises: who erred, and whether trying again can help, is told by the type."""


class GonioError(Exception):
    """Base of all errors that gonio raises on purpose; its text says what is wrong and what to do."""


class UsageError(GonioError):
    """The caller, an operator or a file they wrote is wrong; trying the same again cannot help."""


class PeerError(GonioError):
    """A sensor, a broker or a server did something it should not; nothing of ours was lost by it."""


class RetryableError(PeerError):
    """A peer failed in a way that passes (busy, gone, timed out): try again later."""
