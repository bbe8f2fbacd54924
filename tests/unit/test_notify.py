"""The tables `[[notify]]`: what they may say, how a mistake reads, and which events a receiver wants."""

from __future__ import annotations

from pathlib import Path

import pytest

from harvester.config import Settings
from harvester.events import RANKS, Event
from harvester.notify import Notify
from tests.unit.test_config import SECRET
from tests.unit.test_config_lists import loaded, refused


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def notify(*tables: str) -> str:
    return "".join(f"[[notify]]\n{table}\n" for table in tables)


ATOM = 'to = "atom"\nfile = "feed.atom"'


def test_receivers_are_read_in_the_order_of_the_file() -> None:
    text = notify(
        'to = "webhook"\nurl = "http://h:1/a/"',
        'name = "two"\nto = "webhook"\nurl_file = "/run/url"\nsecret_file = "/run/key"\nkinds = ["tag.*"]\nrank = 1',
        'to = "command"\ncommand = ["logger", "", "a b"]\ntargets = ["library/*", "acme/web"]',
        ATOM,
        'to = "apprise"\nurls_file = "urls"',
    )
    assert loaded(text).notify == (
        Notify(name="webhook", to="webhook", url="http://h:1/a/"),
        Notify(name="two", to="webhook", url_file="/run/url", secret_file="/run/key", kinds=("tag.*",), rank=1),
        Notify(name="command", to="command", command=("logger", "", "a b"), targets=("library/*", "acme/web")),
        Notify(name="atom", to="atom", file="feed.atom"),
        Notify(name="apprise", to="apprise", urls_file="urls"),
    )


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('file = "a"', "to: is missing; it is one of `webhook`, `command`, `atom`, `apprise`"),
        ('to = "slack"', "to: it is one of `webhook`, `command`, `atom`, `apprise`"),
        ("to = []", "to: it is one of `webhook`"),
        ('to = "webhook"', "url: is missing; to `webhook` belongs `url` or `url_file`"),
        ('to = "webhook"\nurl = "http://a"\nurl_file = "b"', "url_file: either `url` or `url_file`, not both"),
        ('to = "webhook"\nurl = "a.example.org"', "url: takes an http or https address"),
        ('to = "webhook"\nurl = "http://u:p@a"', "url: takes an address without a user name or password in it"),
        ('to = "webhook"\nurl = "http://a"\nfile = "b"', "file: goes with another `to`; `webhook` takes `url` or"),
        ('to = "atom"\nfile = "b"\nsecret_file = "c"', "secret_file: goes with another `to`; `atom` takes `file`"),
        ('to = "atom"\nfile = 3', "file: takes a text"),
        ('to = "command"', "command: is missing; to `command` belongs `command`"),
        ('to = "command"\ncommand = "logger -t x"', "command: takes a list of texts, the program and its arguments"),
        ('to = "command"\ncommand = []', "command: takes a list of texts"),
        ('to = "command"\ncommand = ["a", 1]', "command: takes a list of texts"),
        ('to = "command"\ncommand = [" "]', "command: takes a list of texts"),
        ('to = "command"\ncommand = ["a\\u0000"]', "command: takes a list of texts"),
        ('to = "apprise"\nurls = "slack://x"', "unknown setting `urls`, did you mean `url`?"),
        (f'{ATOM}\nkind = ["tag.*"]', "unknown setting `kind`, did you mean `kinds`?"),
        (f'{ATOM}\nkinds = "tag.*"', 'kinds: takes a list of globs, such as ["library/*"]'),
        (f"{ATOM}\nkinds = []", "kinds: takes a list of globs"),
        (f'{ATOM}\nkinds = ["tag.*", "tagg.*"]', "kinds: no kind of event matches `tagg.*`; they are "),
        (f'{ATOM}\ntargets = [""]', "targets: takes a list of globs"),
        (f'{ATOM}\ntargets = ["nginx"]', "targets: nginx is no full name: it takes globs such as `library/nginx`"),
        (f'{ATOM}\ntargets = ["*", "acme/"]', "targets: acme/ is no full name"),
        (
            f'{ATOM}\nkinds = ["tag.*", "tags.*"]',
            "kinds: no kind of event matches `tags.*`; they are tag.overwritten, ",
        ),
        (
            f'{ATOM}\nkinds = ["tag.new"]\nrank = 2',
            "kinds: no kind of event of rank 2 or more urgent matches `tag.new`",
        ),
        (f'{ATOM}\ntargets = ["{"a" * 301}"]', "targets: takes globs of at most 300 characters"),
        (f"{ATOM}\nrank = 0", "rank: takes 1 (only what is to be looked at now), 2 or 3 (everything)"),
        (f"{ATOM}\nrank = true", "rank: takes 1"),
        (f"{ATOM}\nrank = 1.0", "rank: takes 1"),
        (f'{ATOM}\nrank = "1"', "rank: takes 1"),
        (f'{ATOM}\nname = "A b"', "name: takes 1 to 64 of the lower-case letters"),
        (f'{ATOM}\nname = "first"', "name: first is that of [[notify]] 1 already; give each its own"),
    ],
)
def test_what_is_wrong_with_a_receiver_is_said_with_its_place(table: str, says: str) -> None:
    first = 'name = "first"\nto = "atom"\nfile = "a"'
    assert refused(notify(first, table)).startswith(f"[[notify]] 2: {says}")


def test_two_without_a_name_are_told_apart_by_what_they_are() -> None:
    assert len(loaded(notify(ATOM, 'to = "webhook"\nurl = "http://a"')).notify) == 2
    assert refused(notify(ATOM, ATOM)) == "[[notify]] 2: name: atom is that of [[notify]] 1 already; give each its own"


@pytest.mark.parametrize(
    "table",
    [
        f'to = "webhook"\nurl = "http://u:{SECRET}@a"',
        f'to = "webhook"\nurl = "http://a\u2100/{SECRET}"',
        f'to = "webhook"\nurl = "{SECRET}"',
        f'to = "{SECRET}"',
        f'to = "command"\ncommand = "{SECRET}"',
        f'name = "{SECRET} "\n{ATOM}',
    ],
)
def test_no_secret_is_in_an_error_text(table: str) -> None:
    assert SECRET not in refused(notify(table))


def test_no_address_is_in_the_settings_text() -> None:
    settings = loaded(
        notify(f'to = "webhook"\nurl = "http://a/{SECRET}"', f'to = "command"\ncommand = ["a", "{SECRET}"]')
    )
    assert isinstance(settings, Settings)
    assert SECRET not in repr(settings) + str(settings)


@pytest.mark.parametrize(
    ("wanted", "kind", "name", "wants"),
    [
        (Notify(name="a", to="atom"), "drift", "", True),
        (Notify(name="a", to="atom"), "tag.moved", "library/nginx", True),
        (Notify(name="a", to="atom", kinds=("tag.*", "drift")), "tag.moved", "library/nginx", True),
        (Notify(name="a", to="atom", kinds=("tag.*", "drift")), "drift", "", True),
        (Notify(name="a", to="atom", kinds=("tag.*",)), "repository.gone", "library/nginx", False),
        (Notify(name="a", to="atom", kinds=("tag",)), "tag.moved", "library/nginx", False),
        (Notify(name="a", to="atom", targets=("library/*",)), "tag.moved", "library/nginx", True),
        (Notify(name="a", to="atom", targets=("library/*",)), "tag.moved", "acme/library/x", False),
        (Notify(name="a", to="atom", targets=("acme/web", "x/y")), "tag.moved", "acme/web2", False),
        (Notify(name="a", to="atom", targets=("library/*",)), "namespace.vanishing", "library/", True),
        (Notify(name="a", to="atom", targets=("library/*",)), "drift", "", False),
        (Notify(name="a", to="atom", rank=1), "tag.overwritten", "library/nginx", True),
        (Notify(name="a", to="atom", rank=1), "tag.gone", "library/nginx", False),
        (Notify(name="a", to="atom", rank=2), "tag.gone", "library/nginx", True),
        (Notify(name="a", to="atom", rank=2), "tag.new", "library/nginx", False),
    ],
)
def test_a_receiver_wants_what_all_its_filters_let_through(wanted: Notify, kind: str, name: str, wants: bool) -> None:
    assert wanted.wants(kind, name, RANKS[kind]) is wants


@pytest.mark.parametrize(
    ("repository", "tag", "subject"),
    [
        ("library/nginx", "1.27", "library/nginx:1.27"),
        ("library/nginx", None, "library/nginx"),
        (None, None, ""),
        (None, "1.27", ""),
    ],
)
def test_the_subject_of_an_event_is_its_tag_or_its_repository_or_nothing(
    repository: str | None, tag: str | None, subject: str
) -> None:
    event = Event(id=1, kind="drift", rank=3, observed_at="2026-11-20T16:00:00Z", repository=repository, tag=tag)
    assert event.subject == subject
    assert event.title == f"drift {subject}".strip()
