"""What an operator installs fits together: units that systemd understands, closed as promised, a guide that names what is there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from harvester.cli import cli
from harvester.config import load

CHECKOUT = Path(__file__).resolve().parents[2]
DEPLOY = CHECKOUT / "deploy"
GUIDE = (DEPLOY / "README.md").read_text(encoding="utf-8")
MINIMAL = (CHECKOUT / "config" / "minimal.toml").read_text(encoding="utf-8")
CONTAINERFILE = (DEPLOY / "Containerfile").read_text(encoding="utf-8")

PROGRAM = "/opt/harvester/bin/harvester"
SERVICES = sorted(path.name for path in DEPLOY.glob("*.service"))
UNITS = SERVICES + sorted(path.name for path in DEPLOY.glob("*.timer"))
DROP_INS = sorted(str(path.relative_to(DEPLOY)) for path in DEPLOY.glob("*.service.d/*.conf"))

MOST_EXPOSED = {"harvester.service": 1.2, "harvester-backup.service": 0.3, "harvester-upkeep.service": 0.3}
"""What `systemd-analyze security` may say at the most; only the daemon has the network."""

MOST_LINES = 10
"""Command lines from a bare Debian to a running service."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze") or ""
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units with their drop-ins, beside a program that is there."""
    folder = tmp_path / "system"
    shutil.copytree(DEPLOY, folder)
    for name in SERVICES:
        unit = folder / name
        unit.write_text(unit.read_text(encoding="utf-8").replace(PROGRAM, "/bin/true"), encoding="utf-8")
    return folder


def values(unit: str, key: str) -> list[str]:
    """What the lines of this key say, in order."""
    return re.findall(rf"^{key}=(.*)$", (DEPLOY / unit).read_text(encoding="utf-8"), flags=re.MULTILINE)


def environment(unit: str) -> dict[str, str]:
    """The variables that a unit or a drop-in sets, as they would be."""
    assignments = [word for line in values(unit, "Environment") for word in shlex.split(line)]
    known = {"%S": "/var/lib", "%d": "/run/credentials/harvester.service"}
    return {
        name: re.sub(r"%.", lambda found: known[found[0]], value)
        for name, _, value in (word.partition("=") for word in assignments)
    }


def parse(words: list[str]) -> None:
    """Hold the words after the program's name against the program. Raises what the command line would."""
    command: click.Command = cli
    context = click.Context(cli, info_name="harvester")
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0]) if words else None
        assert found is not None, f"there is no `harvester {' '.join(words)}`"
        command, words = found, words[1:]
    command.make_context(command.name, words, parent=context)


def blocks(language: str) -> list[str]:
    """The code blocks of the guide."""
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)


def test_there_is_a_service_a_backup_and_an_upkeep() -> None:
    assert set(SERVICES) == set(MOST_EXPOSED)
    assert set(UNITS) - set(SERVICES) == {"harvester-backup.timer", "harvester-upkeep.timer"}
    assert DROP_INS == ["harvester.service.d/login.conf", "harvester.service.d/readers.conf"]


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_against_a_unit(unit: str, installed: Path) -> None:
    verdict = analyze("verify", "--recursive-errors=no", str(installed / unit))
    assert (verdict.returncode, verdict.stdout, verdict.stderr) == (0, "", "")


@needs_systemd
def test_a_word_that_systemd_does_not_know_is_found(installed: Path) -> None:
    drop_in = installed / "harvester.service.d" / "login.conf"
    drop_in.write_text(drop_in.read_text(encoding="utf-8").replace("LoadC", "LaodC"), encoding="utf-8")
    assert "LaodCredential" in analyze("verify", "--recursive-errors=no", str(installed / "harvester.service")).stderr


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_is_no_more_exposed_than_promised(unit: str, installed: Path) -> None:
    threshold = f"--threshold={MOST_EXPOSED[unit] * 10:.0f}"
    verdict = analyze("security", "--offline=yes", "--no-pager", threshold, str(installed / unit))
    assert verdict.returncode == 0, verdict.stdout


@needs_systemd
def test_the_guide_says_how_exposed_the_daemon_is(installed: Path) -> None:
    verdict = analyze("security", "--offline=yes", "--no-pager", str(installed / "harvester.service"))
    [level] = re.findall(r"Overall exposure level for harvester.service: (\S+)", verdict.stdout)
    assert f"`systemd-analyze security harvester.service` says {level}" in GUIDE


@pytest.mark.parametrize("unit", SERVICES)
def test_every_command_of_a_unit_is_in_the_program(unit: str) -> None:
    lines = values(unit, "ExecStart")
    assert lines
    for line in lines:
        program, *words = shlex.split(line)
        assert program == PROGRAM
        parse(words)


@pytest.mark.parametrize("unit", SERVICES + DROP_INS)
def test_every_variable_of_a_unit_is_one_of_the_program(unit: str) -> None:
    found = environment(unit)
    settings = load(file=str(CHECKOUT / "config" / "harvester.toml"), environment=found)
    ours = [name for name in found if name.startswith(("HARVESTER_", "DOCKERHUB_"))]
    known = {"HARVESTER_DATABASE", "DOCKERHUB_USERNAME", "DOCKERHUB_TOKEN_FILE"}
    assert set(ours) <= known
    if "HARVESTER_DATABASE" in found:
        assert settings.database == "/var/lib/harvester/harvester.db"
    if "DOCKERHUB_TOKEN_FILE" in found:
        [credential] = values(unit, "LoadCredential")
        assert settings.token_file == f"/run/credentials/harvester.service/{credential.partition(':')[0]}"


@pytest.mark.parametrize("unit", SERVICES)
def test_all_units_work_on_one_database(unit: str) -> None:
    assert environment(unit)["HARVESTER_DATABASE"] == "/var/lib/harvester/harvester.db"
    assert (values(unit, "User"), values(unit, "Group")) == (["harvester"], ["harvester"])


def test_the_daemon_has_time_to_drain_and_stays_down_where_a_person_is_needed() -> None:
    assert int(values("harvester.service", "TimeoutStopSec")[0]) > 60
    assert values("harvester.service", "RestartPreventExitStatus") == ["2 3"]
    assert values("harvester.service", "Type") == ["notify"]
    assert values("harvester.service", "ExecReload") == ["/bin/kill -HUP $MAINPID"]


def test_the_minimal_configuration_is_three_lines_and_the_guide_shows_it() -> None:
    assert len(MINIMAL.splitlines()) == 3
    assert blocks("toml") == [MINIMAL]
    settings = load(file=str(CHECKOUT / "config" / "minimal.toml"), environment={})
    assert settings.contact
    assert [watch.target for watch in settings.watch] == ["library/nginx"]


def test_the_service_is_installed_in_ten_lines() -> None:
    first, _, _ = GUIDE.partition("## Sign in")
    [install] = re.findall(r"^```sh\n(.*?)^```", first, flags=re.MULTILINE | re.DOTALL)
    assert 0 < len(install.splitlines()) <= MOST_LINES


def test_every_file_of_the_checkout_that_the_guide_names_is_there() -> None:
    named = set(re.findall(r"\b(?:deploy|config)/[\w./*-]+", "\n".join(blocks("sh"))))
    assert {"config/minimal.toml", "deploy/*.service", "deploy/harvester.service.d/login.conf"} <= named
    assert [one for one in named if not list(CHECKOUT.glob(one))] == []


def test_every_unit_that_the_guide_names_is_there() -> None:
    named = set(re.findall(r"\bharvester[\w-]*\.(?:service|timer)\b", GUIDE))
    assert named == set(UNITS) - {"harvester-upkeep.service"}


@pytest.mark.parametrize("drop_in", DROP_INS)
def test_every_drop_in_is_in_the_guide_under_the_name_it_has_when_installed(drop_in: str) -> None:
    assert f"install -D -m 644 deploy/{drop_in} /etc/systemd/system/{drop_in}\n" in GUIDE


def test_every_command_of_the_guide_is_in_the_program() -> None:
    text = "\n".join(blocks("sh"))
    shown = re.findall(rf"^(?:ask|{PROGRAM}) (.*)$", text, flags=re.MULTILINE)
    assert len(shown) >= 5
    for line in shown:
        parse(shlex.split(line))


def test_the_container_runs_a_command_of_the_program_as_nobody_in_particular() -> None:
    [entry] = re.findall(r'^ENTRYPOINT \["(.*)"\]$', CONTAINERFILE, flags=re.MULTILINE)
    assert entry == PROGRAM
    variables = dict(re.findall(r"\b(HARVESTER_\w+)=(\S+)", re.sub(r"^#.*$", "", CONTAINERFILE, flags=re.MULTILINE)))
    assert load(environment=variables).database == "/var/lib/harvester/harvester.db"
    assert re.search(r"^USER 10001:10001$", CONTAINERFILE, flags=re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", CONTAINERFILE, flags=re.MULTILINE)
    assert [name for line in copied for name in line.split() if not (CHECKOUT / name).exists()] == []
    [command] = re.findall(r"^CMD (\[.*\])$", CONTAINERFILE, flags=re.MULTILINE)
    parse(re.findall(r'"([^"]*)"', command))
