"""``tf.contrib.framework.arg_scope``: default arguments for the functions called in a ``with`` block."""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

__all__ = ["add_arg_scope", "arg_scope", "has_arg_scope"]

_F = TypeVar("_F", bound=Callable[..., Any])
_Defaults = dict[str, dict[str, Any]]

_current: contextvars.ContextVar[_Defaults] = contextvars.ContextVar("arg_scope", default={})  # noqa: B039


def add_arg_scope(func: _F) -> _F:
    """Let ``arg_scope`` give default arguments to a function."""
    key = f"{func.__module__}.{func.__qualname__}"

    @functools.wraps(func)
    def scoped(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **{**_current.get().get(key, {}), **kwargs})

    scoped._arg_scope_key = key  # pyright: ignore[reportAttributeAccessIssue]
    return scoped  # pyright: ignore[reportReturnType]


def has_arg_scope(func: Callable[..., Any]) -> bool:
    """Tell whether ``arg_scope`` takes the function."""
    return hasattr(func, "_arg_scope_key")


@contextlib.contextmanager
def arg_scope(
    list_ops_or_scope: Sequence[Callable[..., Any]] | Mapping[str, Any], **kwargs: Any
) -> Iterator[_Defaults]:
    """Give default arguments to some functions, or enter a scope that an earlier ``arg_scope`` returned.

    Args:
        list_ops_or_scope: Functions marked by ``add_arg_scope``, or what ``with arg_scope(...) as scope`` named.
        **kwargs: The defaults; inner scopes override outer ones.

    Raises:
        ValueError: If a function is not marked, or a scope comes with arguments.
    """
    if isinstance(list_ops_or_scope, Mapping):
        if kwargs:
            raise ValueError(f"A scope that is entered again takes no arguments. Received: {sorted(kwargs)}")
        scope: _Defaults = {key: dict(value) for key, value in list_ops_or_scope.items()}
    else:
        scope = dict(_current.get())
        for func in list_ops_or_scope:
            key = getattr(func, "_arg_scope_key", None)
            if key is None:
                raise ValueError(f"arg_scope takes functions that are marked by add_arg_scope. Received: {func!r}")
            scope[key] = {**scope.get(key, {}), **kwargs}
    token = _current.set(scope)
    try:
        yield scope
    finally:
        _current.reset(token)
