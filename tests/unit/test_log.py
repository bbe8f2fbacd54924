"""Log lines: no credential gets through the configured chain, whoever logs it, in either form; levels and shapes of lines."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, Literal, get_args

import pytest
import structlog

from harvester.log import configure, redacted

Form = Literal["console", "json"]
FORMS: list[Form] = list(get_args(Form))

PAT = "dckr_pat_AbC-123_xyz"
OAT = "dckr_oat_0123456789abcdefghijklmnopq"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl-_x"
PASSWORD = "hush-hush-42"
PROXY = f"http://someone:{PASSWORD}@proxy.example.org:3128"
UNSIGNED = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIn0."
OPAQUE = "b3BhcXVlLXRva2VuLTEyMzQ1Njc4OTA"
BASIC = "YW5uYTpkb2NrZXItcGFzc3dvcmQ="
SECRETS = [PAT, OAT, JWT, UNSIGNED]

TEXTS = [
    *SECRETS,
    *[f"login with {secret} failed" for secret in SECRETS],
    *[f'{{"token": "{secret}"}}' for secret in SECRETS],
    f"GET /v2/ Authorization: Bearer {OPAQUE}",
    f"authorization: bearer {OPAQUE}",
    f"AUTHORIZATION: BASIC {BASIC}",
    f"{{'authorization': 'Bearer {OPAQUE}'}}",
    f"[(b'Authorization', b'Basic {BASIC}')]",
    f"{PAT} and {OAT} and Bearer {JWT}",
    f"no connection through {PROXY}/",
    f"postgresql+psycopg://harvester:{PASSWORD}@db/harvester",
]
HIDDEN = [*SECRETS, PASSWORD, OPAQUE, BASIC, "AbC-123", "0123456789abcdef", "c2lnbmF0dXJl", "eyJzdWIi"]

FIELDS: list[dict[str, Any]] = [
    {"authorization": OPAQUE},
    {"Authorization": OPAQUE},
    {"token": OPAQUE},
    {"access_token": OPAQUE},
    {"refresh_token": OPAQUE},
    {"password": OPAQUE},
    {"secret": OPAQUE},
    {"cookie": OPAQUE},
    {"headers": {"Authorization": f"Bearer {OPAQUE}"}},
    {"headers": {"Authorization": OPAQUE}},
    {"headers": [(b"authorization", f"Basic {BASIC}".encode())]},
    {"headers": [("Authorization", f"Basic {BASIC}")]},
    {"answer": {"body": {"access_token": OPAQUE, "list": [PAT]}}},
    {"values": (PAT, [OAT, {"deep": JWT}])},
    {"error": ValueError(f"refused {PAT}")},
    {"body": f"refused {PAT}".encode()},
]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The process's logging as it was."""
    root, own = logging.getLogger(), logging.getLogger("harvester")
    handlers, levels = root.handlers[:], (root.level, own.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])
    logging.captureWarnings(False)
    threading.excepthook = threading.__excepthook__
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def hidden(text: str) -> bool:
    return not any(secret in text for secret in HIDDEN)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_loses_its_credentials(text: str) -> None:
    assert hidden(redacted(text))
    assert "***" in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "library/nginx:1.27",
        "sha256:" + "0123456789abcdef" * 4,
        "https://hub.docker.com/v2/namespaces/library/repositories/nginx/tags?page=2&page_size=100",
        "Told to wait 60 s: the limit of the Hub API (429 /v2/namespaces/library/repositories)",
        "search.page:eye.catcher:all:latest:free:1",
        "dckr_pat_",
        "http://proxy.example.org:3128",
        "https://example.org/about:us and somebody@example.org",
    ],
)
def test_a_text_without_credentials_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", TEXTS)
def test_no_credential_in_an_event_of_ours_reaches_standard_error(
    form: Form, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(form=form, is_quiet=False)
    log = structlog.get_logger("harvester.anywhere")
    log.warning(text)
    log.info("job.done", reason=text)
    log.bind(bound=text).error("job.dead")
    structlog.contextvars.bind_contextvars(context=text)
    log.info("job.done", number=1)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 4
    assert hidden(shown.err)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("field", FIELDS, ids=repr)
def test_no_credential_in_a_field_of_ours_reaches_standard_error(
    form: Form, field: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    configure(form=form, is_quiet=False)
    structlog.get_logger("harvester.anywhere").warning("answer.odd", **field)
    shown = capsys.readouterr().err
    assert "answer.odd" in shown
    assert hidden(shown)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", TEXTS)
def test_no_credential_in_a_line_of_a_library_reaches_standard_error(
    form: Form, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(form=form, is_quiet=False)
    library = logging.getLogger("httpx")
    library.warning(text.replace("%", "%%"))
    library.error("request %s with %r", "GET", text)
    library.warning("headers: %s", {"Authorization": text})
    library.warning("a record", extra={"authorization": text})
    shown = capsys.readouterr().err
    assert "request GET with" in shown
    assert hidden(shown)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [PAT, JWT, f"Bearer {OPAQUE}"])
@pytest.mark.parametrize("name", ["asyncio", "harvester.anywhere"])
def test_no_credential_in_a_traceback_reaches_standard_error(
    form: Form, secret: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(form=form, is_quiet=False)
    try:
        raise ValueError(f"refused {secret}")
    except ValueError as error:
        logging.getLogger(name).error("failed", exc_info=error)
        structlog.get_logger(name).error("failed", exc_info=error)
        structlog.get_logger(name).exception("failed")
    shown = capsys.readouterr().err
    assert shown.count("ValueError") >= 3
    assert hidden(shown)


@pytest.mark.parametrize("form", FORMS)
def test_debug_lines_and_those_of_libraries_below_warning_are_left_out(
    form: Form, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(form=form, is_quiet=False)
    structlog.get_logger("harvester.anywhere").debug("left.out")
    logging.getLogger("httpx").info("left.out")
    structlog.get_logger("harvester.anywhere").info("kept.one")
    logging.getLogger("httpx").warning("kept.two")
    shown = capsys.readouterr().err
    assert "left.out" not in shown
    assert "kept.one" in shown
    assert "kept.two" in shown


@pytest.mark.parametrize("form", FORMS)
def test_quiet_leaves_warnings_and_errors(form: Form, capsys: pytest.CaptureFixture[str]) -> None:
    configure(form=form, is_quiet=True)
    log = structlog.get_logger("harvester.anywhere")
    log.info("left.out")
    log.warning("kept.one")
    log.error("kept.two")
    shown = capsys.readouterr().err
    assert "left.out" not in shown
    assert len(shown.splitlines()) == 2


def test_a_json_line_is_one_object_with_event_level_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    configure(form="json", is_quiet=False)
    structlog.get_logger("harvester.anywhere").info("job.done", key="a\nb", attempt=2)
    logging.getLogger("httpx").warning("from %s", "elsewhere")
    ours, theirs = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (ours["event"], ours["level"], ours["key"], ours["attempt"]) == ("job.done", "info", "a\nb", 2)
    assert (theirs["event"], theirs["level"]) == ("from elsewhere", "warning")
    assert all(line["timestamp"].endswith("Z") for line in (ours, theirs))


def test_lines_that_are_no_terminals_hold_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    configure(form="console", is_quiet=False)
    structlog.get_logger("harvester.anywhere").error("job.dead", reason="x")
    assert "\x1b" not in capsys.readouterr().err


def test_configuring_again_adds_no_second_handler(capsys: pytest.CaptureFixture[str]) -> None:
    configure(form="json", is_quiet=False)
    configure(form="json", is_quiet=False)
    structlog.get_logger("harvester.anywhere").info("said.once")
    assert capsys.readouterr().err.count("said.once") == 1


def test_without_a_terminal_the_form_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure(form=None, is_quiet=False)
    structlog.get_logger("harvester.anywhere").info("job.done")
    assert json.loads(capsys.readouterr().err)["event"] == "job.done"


def test_on_a_terminal_the_form_is_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    configure(form=None, is_quiet=False)
    structlog.get_logger("harvester.anywhere").info("job.done")
    shown = capsys.readouterr().err
    assert "job.done" in shown
    assert not shown.startswith("{")


def test_a_json_line_has_what_is_bound_and_a_line_of_text_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    with structlog.contextvars.bound_contextvars(job=7, lane="hub"):
        configure(form="json", is_quiet=False)
        logging.getLogger("apscheduler").warning("missed by %s", "a minute")
        structlog.get_logger("harvester.anywhere").info("job.done")
        configure(form="console", is_quiet=False)
        structlog.get_logger("harvester.anywhere").info("job.done")
    theirs, ours, text = capsys.readouterr().err.splitlines()
    assert [(json.loads(line)["job"], json.loads(line)["lane"]) for line in (theirs, ours)] == [(7, "hub")] * 2
    assert "lane" not in text


@pytest.mark.parametrize("name", ["apscheduler.scheduler", "alembic.runtime.migration"])
def test_a_line_of_a_library_says_whose_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(form="json", is_quiet=False)
    logging.getLogger(name).warning("from elsewhere\nin two lines")
    [line] = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["logger"], found["level"]) == (name, "warning")
    assert found["timestamp"].endswith("Z")


def test_debug_lines_are_shown_where_they_are_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    configure(form="json", is_quiet=False, is_debug=True)
    structlog.get_logger("harvester.anywhere").debug("kept.one")
    logging.getLogger("httpx").info("left.out")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["kept.one"]


def test_what_would_go_past_the_log_is_one_line_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure(form="json", is_quiet=False)

    def fail() -> None:
        raise ValueError(f"refused {PAT}")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        configure(form="json", is_quiet=False)
        warnings.warn(f"old {PAT}", stacklevel=1)
    thread = threading.Thread(target=fail, name="writer")
    thread.start()
    thread.join()
    warned, failed = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (warned["logger"], warned["level"]) == ("py.warnings", "warning")
    assert (failed["event"], failed["thread"], failed["level"]) == ("thread.failed", "writer", "error")
    assert "ValueError" in failed["exception"]
    assert hidden(str(warned) + str(failed))


def test_text_leaves_threads_that_fail_to_python(capsys: pytest.CaptureFixture[str]) -> None:
    configure(form="json", is_quiet=False)
    configure(form="console", is_quiet=False)
    assert threading.excepthook is threading.__excepthook__


@pytest.mark.parametrize("form", ["json", "console", None])
def test_a_closed_standard_error_takes_nothing_and_fails_nothing(
    form: Form | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    configure(form=form, is_quiet=False)
    structlog.get_logger("harvester.test").error("nobody.hears")
