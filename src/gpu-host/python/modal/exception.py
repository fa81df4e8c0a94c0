"""The exceptions of Modal's package that a handler can meet."""


class Error(Exception):
    pass


class NotFoundError(Error):
    pass


class InvalidError(Error):
    pass


class InputCancellation(BaseException):
    """Raised inside a function whose call was cancelled; not an Exception, so that handlers let it pass."""
