"""Logs: one chain for our lines and for those of libraries, secrets taken out. Rank 2; configured by the command line."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

_SECRETS = re.compile(
    r"dckr_[a-z]+_[A-Za-z0-9_-]+|eyJ[\w-]+(?:\.[\w-]*){0,2}|(?i:\b(?:bearer|basic|jwt)\s+\S+)|(?<=://)[^\s/@:]*:[^\s/@]*(?=@)"
)
"""Tokens of Docker's, tokens in general, headers, and what stands before the host of an address."""

_SECRET_KEYS = frozenset({"authorization", "password", "secret", "token", "access_token", "refresh_token", "cookie"})

Form = Literal["console", "json"]


def redacted(text: str) -> str:
    """The text without anything that looks like a credential (wire reference, 11.1)."""
    return _SECRETS.sub("***", text)


def configure(*, form: Form | None, is_quiet: bool, is_debug: bool = False) -> None:
    """Send log lines to standard error: JSON, or text with colours on a terminal; null is JSON unless there is a terminal.

    A line of JSON is one object and has all that is bound to the job it belongs to; text leaves that out. What would write past
    the log, warnings and threads that fail, goes through it as well where the form is JSON.
    """
    # Null where the process was started with it closed.
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    is_json = form == "json" or (form is None and not is_terminal)
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact,
    ]
    if is_json:
        shared.insert(0, structlog.contextvars.merge_contextvars)
    renderer: Any = (
        structlog.processors.JSONRenderer() if is_json else structlog.dev.ConsoleRenderer(colors=is_terminal)
    )
    level = logging.DEBUG if is_debug else logging.WARNING if is_quiet else logging.INFO
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        # What is filtered out costs next to nothing: a line per request is.
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("harvester").setLevel(level)
    logging.captureWarnings(is_json)
    threading.excepthook = _thread_failed if is_json else threading.__excepthook__


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    name = failed.thread.name if failed.thread is not None else None
    error = failed.exc_value if failed.exc_value is not None else failed.exc_type()
    structlog.get_logger(__name__).error("thread.failed", thread=name, exc_info=error)


def _redact(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        event[key] = _clean(key, value)
    return event


def _clean(key: str, value: Any) -> Any:
    """The value without credentials, whatever it is made of."""
    if key.lower() in _SECRET_KEYS:
        return "***"
    match value:
        case str():
            return redacted(value)
        case bytes() | BaseException():
            return redacted(str(value))
        case dict():
            return {inner: _clean(str(inner), one) for inner, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean("", one) for one in value]
        case _:
            return value
