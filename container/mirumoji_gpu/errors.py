"""Failures that the caller can do something about."""

from __future__ import annotations


class Expected(Exception):
    """A failure that the caller can do something about; `code` is one of the product's error codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
