"""The lists of tables in the configuration: ways out and watches, what is refused in them, and how that reads."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.config import MOST_TOLD, Settings, load
from harvester.egress import Egress
from harvester.errors import ConfigError
from harvester.notify import Notify
from harvester.policy import LayerPolicy, TagPolicy
from harvester.targets import Target
from harvester.watch import Watch
from tests.calls import calls_of
from tests.unit.test_config import SECRET, written

pytestmark = pytest.mark.usefixtures("folder")

NGINX = Target("repository", "library/nginx")
DAY = 86_400

# List, its keys with the default as TOML or null, and a table that is right.
LISTS: dict[str, tuple[dict[str, Any], str]] = {
    "egress": ({"name": None, "proxy": None, "address": None}, 'name = "a"'),
    "watch": ({"target": None, "tags": "all", "layers": "latest", "every": "24h", "fastest": None}, 'target = "nginx"'),
    "notify": (
        {
            **dict.fromkeys(("name", "to", "url", "url_file", "secret_file", "command", "file", "urls_file")),
            "kinds": None,
            "targets": None,
            "rank": 3,
        },
        'to = "atom", file = "a"',
    ),
}


def loaded(text: str, **environment: str) -> Settings:
    return load(file=written(text), environment=environment)


def refused(text: str, **environment: str) -> str:
    """The one line that says what is wrong with the file, without the file's name and its first line."""
    with pytest.raises(ConfigError) as refusal:
        loaded(text, **environment)
    assert refusal.value.message.isprintable()
    return re.sub(r"^settings\.toml, line \d+: ", "", refusal.value.message)


def egress(*tables: str) -> str:
    return "".join(f"[[egress]]\n{table}\n" for table in tables)


def watch(*tables: str) -> str:
    return "".join(f"[[watch]]\n{table}\n" for table in tables)


# Ways out.


def test_ways_out_are_read_in_the_order_of_the_file() -> None:
    text = egress(
        'name = "direct"',
        'name = "site-2"\nproxy = "http://anna:pw@p:3128"',
        'name = "3"\naddress = "192.0.2.7"',
        'name = "six"\naddress = "2001:DB8:0::1"',
    )
    assert loaded(text).egress == (
        Egress(name="direct"),
        Egress(name="site-2", proxy="http://anna:pw@p:3128"),
        Egress(name="3", address="192.0.2.7"),
        Egress(name="six", address="2001:db8::1"),
    )


@pytest.mark.parametrize("name", ["", "A", "a b", "a_b", "ä", "a" * 33, "a.b", "direct\\n", "١"])
def test_the_name_of_a_way_out_is_short_and_plain(name: str) -> None:
    says = "[[egress]] 2: name: takes 1 to 32 of the lower-case letters, the digits and `-`"
    assert refused(egress('name = "a"', f'name = "{name}"\naddress = "::1"')) == says


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('proxy = "http://p"', "[[egress]] 1: name: is missing"),
        (
            'name = "a"\nproxy = "http://p"\naddress = "::1"',
            "[[egress]] 1: address: a way out has a `proxy` or an `address`, not both",
        ),
        ("", "[[egress]] 1: name: is missing"),
        ("name = 3", "[[egress]] 1: name: takes 1 to 32"),
        ('name = "a"\nproxy = "socks5://p"', "[[egress]] 1: proxy: takes the address of an http or https proxy"),
        ('name = "a"\nproxy = ""', "[[egress]] 1: proxy: takes a text"),
        ('name = "a"\nproxy = ["http://p"]', "[[egress]] 1: proxy: takes a text"),
        ('name = "a"\naddress = "p.example.org"', "[[egress]] 1: address: takes one IP address of this machine"),
        ('name = "a"\naddress = "192.0.2.0/24"', "[[egress]] 1: address: takes one IP address of this machine"),
        ('name = "a"\naddress = "0.0.0.0"', "[[egress]] 1: address: takes one IP address of this machine"),
        ('name = "a"\naddress = "::"', "[[egress]] 1: address: takes one IP address of this machine"),
        ('name = "a"\naddress = "224.0.0.1"', "[[egress]] 1: address: takes one IP address of this machine"),
        ('name = "a"\naddress = 1', "[[egress]] 1: address: takes one IP address of this machine"),
        ('name = "a"\nadress = "::1"', "[[egress]] 1: unknown setting `adress`, did you mean `address`?"),
        (
            'nam = "a"\nprox = "b"',
            "unknown setting `nam`, did you mean `name`?; line 3: [[egress]] 1: unknown setting `prox`, did you",
        ),
    ],
)
def test_what_is_wrong_with_a_way_out_is_said_with_its_place(table: str, says: str) -> None:
    assert says in refused(egress(table))


@pytest.mark.parametrize(
    ("second", "what"),
    [
        ('name = "a"\naddress = "::1"', "this name is that of [[egress]] 1"),
        ('name = "b"\nproxy = "http://p:1"', "this way out is that of [[egress]] 1"),
        ('name = "b"\nproxy = "http://p:1/"', "this way out is that of [[egress]] 1"),
        ('name = "b"\naddress = "2001:DB8::0:1"', "this way out is that of [[egress]] 2"),
        ('name = "b"', "this way out is that of [[egress]] 3"),
    ],
)
def test_two_ways_out_never_share_a_name_or_a_budget(second: str, what: str) -> None:
    first = ['name = "a"\nproxy = "http://p:1"', 'name = "c"\naddress = "2001:db8::1"', 'name = "d"']
    assert len(loaded(egress(*first)).egress) == 3
    assert refused(egress(*first, second)).startswith(f"[[egress]] 4: {what} already")


@pytest.mark.parametrize("text", ['proxy = "http://p"\n', ""])
def test_one_proxy_and_a_list_of_ways_out_exclude_one_another(text: str) -> None:
    variable = {} if text else {"HARVESTER_PROXY": "http://p"}
    message = refused(text + egress('name = "a"'), **variable)
    assert message.startswith("proxy and " if text else "HARVESTER_PROXY and ")
    assert "[[egress]] exclude one another: keep `proxy` where it is the only way out, or else only the list" in message
    assert loaded(text + "egress = []", **variable).proxy == "http://p"


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        (egress(f'name = "a"\nproxy = "socks5://anna:{SECRET}@p"'), {}),
        (egress(f'name = "a"\nproxy = "http://anna:{SECRET}@p\u2100"'), {}),
        (egress(f'name = "http://anna:{SECRET}@p"'), {}),
        (egress(f'name = "a"\naddress = "http://anna:{SECRET}@p"'), {}),
        (egress(f'name = "a"\nproxy = "http://u:{SECRET}@p"', f'name = "b"\nproxy = "http://u:{SECRET}@p"'), {}),
        (f'egress = ["http://anna:{SECRET}@p"]', {}),
        (egress(f'name = "a"\nproxy = "http://u:{SECRET}@p"'), {"HARVESTER_PROXY": f"http://u:{SECRET}@q"}),
        (watch(f'target = "nginx"\nevery = "{SECRET}"'), {}),
    ],
)
def test_no_secret_is_in_an_error_text(text: str, environment: dict[str, str]) -> None:
    assert SECRET not in refused(text, **environment)


def test_no_secret_is_in_the_settings_text() -> None:
    settings = loaded(egress(f'name = "a"\nproxy = "http://anna:{SECRET}@p"'))
    assert settings.egress[0].proxy is not None
    assert SECRET in settings.egress[0].proxy
    assert SECRET not in repr(settings) + str(settings) + repr(settings.egress)


# Lines.


def told(text: str) -> str:
    """The one line that says what is wrong with the file."""
    with pytest.raises(ConfigError) as refusal:
        loaded(text)
    return refusal.value.message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[watch]]\ntarget = "a/b"\n\n[[watch]]\n# every = "1h"\n', "line 4: [[watch]] 2: target: is missing"),
        ('[[watch]]\ntarget = "a/b"\nevery = "1h"\nlayers = 3', "line 4: [[watch]] 1: layers: takes a text"),
        ('watch = [\n  { target = "a/b" },\n  { target = "A/b" },\n]', "line 3: [[watch]] 2: target: A/b: names at"),
        ('watch = [\n  { target = "a/b" },\n  3,\n]', "line 3: [[watch]] 2: takes a table with the keys"),
        ('\n[[watch]]\ntarget = "a/b"\ntagz = 1', "line 4: [[watch]] 1: unknown setting `tagz`"),
        ('[[watch]]\ntarget = "a"\nevery = "1h"\nfastest = "2h"', "line 4: [[watch]] 1: fastest: is longer"),
        ('[[notify]]\nto = "atom"\nfile = "a"\nkinds = ["x"]', "line 4: [[notify]] 1: kinds: no kind of event"),
        ('[[notify]]\nfile = "a"', "line 1: [[notify]] 1: to: is missing"),
        (egress('name = "a"', 'name = "a"\nproxy = "http://p"'), "line 4: [[egress]] 2: this name is that of"),
        (egress('name = "a"', 'name = "b"'), "line 4: [[egress]] 2: this way out is that of"),
        (
            egress('name = "a"\naddress = "::1"', 'name = "b"\naddress = "::1"'),
            "line 6: [[egress]] 2: this way out is that",
        ),
        ("\n\n[watch]\nx = 1", "line 3: [[watch]] takes a list of tables"),
    ],
)
def test_what_is_wrong_with_a_table_of_a_list_has_the_line_of_the_key_or_else_of_the_tables_head(
    text: str, says: str
) -> None:
    assert told(text).startswith(f"settings.toml, {says}")


def test_all_tables_that_are_wrong_are_told_of_at_once() -> None:
    text = (
        'contact = "("\n' + watch('target = "A"\nevery = 1', 'target = "a"', 'layers = "all"') + "[limits]\npulls = -1"
    )
    parts = [part.split(" takes", maxsplit=1)[0] for part in told(text).split("; ") if not part.startswith("did")]
    assert parts == [
        "settings.toml, line 1: contact:",
        "line 4: [[watch]] 1: every:",
        "line 7: [[watch]] 3: target: is missing",
        "line 10: limits.pulls:",
    ]


def test_a_list_of_ways_out_and_a_proxy_are_named_with_their_lines() -> None:
    message = told('proxy = "http://p"\n' + egress('name = "a"'))
    assert message.startswith("settings.toml, line 1: proxy and settings.toml, line 2: [[egress]] exclude one another")


def test_of_very_many_mistakes_the_first_are_told_and_the_others_counted() -> None:
    message = told(watch(*["x = 1"] * 100))
    assert message.count("[[watch]]") == MOST_TOLD
    assert message.endswith("; and 80 more")


# Watches.


def test_watches_are_read_with_their_defaults() -> None:
    Path("all.txt").write_text("redis\nnginx # the server\n")
    text = watch(
        'target = "nginx"',
        'target = "search: time  series"\ntags = "newest:5,semver:>=7,<8"\nlayers = "re:lat.*"\nevery = "90m"',
        'target = "@all.txt"\nevery = "7d"',
    )
    assert loaded(text).watch == (
        Watch(target="nginx", targets=(NGINX,), tags=TagPolicy("all"), layers=LayerPolicy("latest"), every=DAY),
        Watch(
            target="search: time  series",
            targets=(Target("search", "time series"),),
            tags=TagPolicy("newest:5,semver:>=7 <8"),
            layers=LayerPolicy("re:lat.*"),
            every=90 * 60,
        ),
        Watch(target="@all.txt", targets=(NGINX, Target("repository", "library/redis")), every=7 * DAY),
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("1m", 60), ("001h", 3600), ("24h", DAY), ("1d", DAY), ("365d", 365 * DAY), ("8760h", 365 * DAY)],
)
def test_every_is_a_number_with_a_unit(text: str, seconds: int) -> None:
    assert loaded(watch(f'target = "nginx"\nevery = "{text}"')).watch[0].every == seconds


@pytest.mark.parametrize(
    "toml",
    [
        *(
            '"4s"',
            '"0m"',
            '"366d"',
            '"9999999999d"',
            '"24"',
            '"h"',
            '"1.5h"',
            '"-1h"',
            '"1 h"',
            '"1H"',
            '"1w"',
            '"24h "',
        ),
        *('""', '"١h"', '"1h\\n"', "24", "true", "1.5", '["24h"]', "{ h = 1 }", "2026-01-01", "01:00:00"),
    ],
)
def test_an_interval_that_cannot_be_is_refused(toml: str) -> None:
    says = "[[watch]] 1: every: takes a number with `s`, `m`, `h` or `d`, such as `24h`, from 5s to 365d"
    assert refused(watch(f'target = "nginx"\nevery = {toml}')) == says


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("", "target: is missing"),
        ('tags = "all"', "target: is missing"),
        ('target = ["nginx", "redis"]', "target: takes a text"),
        ("target = 3", "target: takes a text"),
        ('target = " "', "target: takes a text"),
        ('target = "Nginx"', "target: Nginx: names at Docker Hub are lower case; did you mean `nginx`?"),
        ('target = "@missing.txt"', "target: cannot read the targets in missing.txt: "),
        ('target = "@empty.txt"', "target: @empty.txt lists none"),
        ('target = "nginx"\ntags = "newest:0"', "tags: 'newest:0': `newest:` takes a whole number"),
        ('target = "nginx"\ntags = 5', "tags: takes a text"),
        ('target = "nginx"\ntags = ["all"]', "tags: takes a text"),
        ('target = "nginx"\nlayers = "newest:5"', "layers: 'newest:5': takes `none`, `latest`, `all`, `re:PATTERN`"),
        ('target = "nginx"\nlayers = "re:("', "layers: 're:(': the pattern does not compile"),
        ('target = "nginx"\nlayers = true', "layers: takes a text"),
        ('target = "nginx"\ntagz = "all"', "unknown setting `tagz`, did you mean `tags`?"),
        ('target = "nginx"\n[watch.tags]\nx = 1', "tags: takes a text"),
    ],
)
def test_what_is_wrong_with_a_watch_is_said_with_its_place(folder: Path, table: str, says: str) -> None:
    (folder / "empty.txt").write_text("# none\n")
    assert refused(watch('target = "redis"', 'target = "redis"', table)).startswith(f"[[watch]] 3: {says}")


# Lists.


def test_the_table_of_these_tests_has_every_list_and_key() -> None:
    assert set(LISTS) == {field.name for field in fields(Settings) if field.default == ()}
    assert set(LISTS["egress"][0]) == {field.name for field in fields(Egress)}
    assert set(LISTS["watch"][0]) == {field.name for field in fields(Watch)} - {"targets"}
    assert set(LISTS["notify"][0]) == {field.name for field in fields(Notify)}
    assert Notify(name="a", to="atom").rank == LISTS["notify"][0]["rank"]
    assert (TagPolicy("all"), LayerPolicy("latest"), DAY) == (
        *(getattr(Watch(target="", targets=()), key) for key in ("tags", "layers")),
        Watch(target="", targets=()).every,
    )


@pytest.mark.parametrize("key", LISTS)
@pytest.mark.parametrize("value", ["3", '"a"', "true", "{ }", '{ name = "a" }', "2026-01-01"])
def test_what_is_no_list_is_refused(key: str, value: str) -> None:
    assert refused(f"{key} = {value}").startswith(f"[[{key}]] takes a list of tables: two brackets")


@pytest.mark.parametrize("key", LISTS)
def test_a_table_with_single_brackets_is_refused_as_such(key: str) -> None:
    table = LISTS[key][1].replace(", ", "\n")
    assert refused(f"[{key}]\n{table}").startswith(f"[[{key}]] takes a list of tables: two brackets")


@pytest.mark.parametrize("key", LISTS)
@pytest.mark.parametrize("value", ["3", '"nginx"', "[]", "true", '["a", "b"]', "inf"])
def test_what_is_no_table_in_a_list_is_refused_with_its_place(key: str, value: str) -> None:
    keys = ", ".join(f"`{one}`" for one in LISTS[key][0])
    assert refused(f"{key} = [{{ {LISTS[key][1]} }}, {value}]") == f"[[{key}]] 2: takes a table with the keys {keys}"


@pytest.mark.parametrize("key", LISTS)
def test_an_empty_list_is_the_default(key: str) -> None:
    assert loaded(f"{key} = []") == Settings()


@pytest.mark.parametrize("key", LISTS)
def test_a_list_is_no_variable_of_the_environment(key: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown setting `HARVESTER_{key.upper()}`"):
        load(environment={f"HARVESTER_{key.upper()}": "x"})


@pytest.mark.parametrize(("misspelt", "near"), [("egres", "egress"), ("watches", "watch"), ("Watch", "watch")])
def test_a_misspelt_list_is_named_with_the_nearest_known_one(misspelt: str, near: str) -> None:
    assert refused(f"[[{misspelt}]]\nx = 1") == f"unknown setting `{misspelt}`, did you mean `{near}`?"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=4,
)


@given(
    key=st.sampled_from(sorted(LISTS)),
    tables=VALUES
    | st.lists(
        VALUES
        | st.dictionaries(
            st.sampled_from([key for keys, _ in LISTS.values() for key in keys] + ["x"]), VALUES, max_size=4
        )
    ),
)
def test_reading_a_list_raises_nothing_but_config_error(key: str, tables: Any) -> None:
    try:
        settings = load(environment={}, flags={key: tables})
    except ConfigError:
        return
    assert len(getattr(settings, key)) == len(tables or ())


def test_ten_thousand_watches_cost_ten_times_what_a_thousand_cost() -> None:
    table = 'target = "acme/r{0}"\ntags = "newest:{0},semver:>={0}"\nlayers = "re:a{0}"\nevery = "{0}m"'

    def calls(count: int) -> int:
        text = watch(*(table.format(number % 900 + 1) for number in range(count)))
        assert len(loaded(text).watch) == count
        return calls_of(lambda: loaded(text))

    assert calls(10_000) < 10.5 * calls(1_000)
