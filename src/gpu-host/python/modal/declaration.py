"""Declarations of a script, such as its app, images and decorators, which mean nothing where the function runs."""

import functools
import sys
import types


class Declaration:
    """Stand-in for the names that a script takes out of `modal` while it is imported, and for their results."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Declaration(f"{self._name}.{name}")

    def __call__(self, *args, **kwargs):
        if not kwargs and len(args) == 1 and isinstance(args[0], (types.FunctionType, type, Function)):
            return decorated(args[0])
        return Declaration(f"{self._name}()")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _traceback):
        if not isinstance(error, ImportError):
            return False
        # As `with image.imports()` does: the function that needs the package fails, and no other.
        print(f"{self._name}: {error}", file=sys.stderr)
        return True

    def __repr__(self):
        return f"<modal.{self._name} on a GPU host>"


class Function:
    """A decorated function. Here it can be run, and not be called on other containers."""

    def __init__(self, raw):
        self._raw = raw
        functools.update_wrapper(self, raw)

    def local(self, *args, **kwargs):
        return self._raw(*args, **kwargs)

    def get_raw_f(self):
        return self._raw

    def __getattr__(self, name):
        raise NotImplementedError(f"{self._raw.__name__}.{name}: a function on a GPU host cannot reach other functions")


def decorated(target):
    return Function(target) if isinstance(target, types.FunctionType) else target
