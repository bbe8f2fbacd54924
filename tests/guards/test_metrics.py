"""What is shown, documented, drawn and alerted on are the same metrics, with the same labels."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harvester.metrics import METRICS, Named

CHECKOUT = Path(__file__).resolve().parents[2]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
RULES = (CHECKOUT / "deploy" / "alerts.yml").read_text(encoding="utf-8")
DASHBOARD: dict[str, Any] = json.loads((CHECKOUT / "deploy" / "grafana-dashboard.json").read_text(encoding="utf-8"))

BY_PROMETHEUS = {"job", "instance"}
"""Labels that every series has, because the scrape gives them to it."""

SERIES = {
    f"{named.name}{ending}": named
    for named in METRICS
    for ending in (("_bucket", "_count", "_sum") if named.kind == "histogram" else ("",))
}

_SERIES = re.compile(r"\b(?P<name>harvester_\w+)(?:\{(?P<matchers>[^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
_GROUPED = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
_EXPRESSION = re.compile(r"^ +expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)", re.MULTILINE)
_SHOWN_LABEL = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")


def panels() -> Iterator[dict[str, Any]]:
    """Every panel that draws something."""
    for panel in DASHBOARD["panels"]:
        yield from (one for one in (panel, *panel.get("panels", [])) if one["type"] != "row")


def expressions_of_rules() -> list[str]:
    return [(found[1] or found[2]).strip() for found in _EXPRESSION.finditer(RULES)]


def rules() -> list[str]:
    """Each rule's text."""
    return RULES.split("      - alert: ")[1:]


def complaints(expression: str, shown: str = "") -> list[str]:
    """What the expression names that is not there; `shown` is text that shows labels of its result."""
    found = []
    labels = set(BY_PROMETHEUS)
    for series in _SERIES.finditer(expression):
        named = SERIES.get(series["name"])
        if named is None:
            found.append(f"there is no {series['name']}")
            continue
        own = {*named.labels, *BY_PROMETHEUS, *(["le"] if series["name"].endswith("_bucket") else [])}
        labels |= own
        found += [
            f"{series['name']} has no label {label}"
            for label in _MATCHER.findall(series["matchers"] or "")
            if label not in own
        ]
    groups = [label.strip() for group in _GROUPED.findall(expression) for label in group.split(",")]
    found += [f"nothing there has a label {label}" for label in groups if label not in labels]
    # An aggregate has the labels that it is grouped by and no others.
    left = set(groups) if groups else set() if re.match(r"(sum|max|min)\(", expression) else labels
    found += [f"the result has no label {label}" for label in _SHOWN_LABEL.findall(shown) if label not in left]
    return found


def of_readme() -> dict[str, set[str]]:
    """Labels of every metric that has a row in the README."""
    rows = re.findall(r"^\| `(harvester_\w+)` \|([^|]*)\| \S.*\|$", README, flags=re.MULTILINE)
    assert len(rows) == len({name for name, _ in rows})
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def test_the_readme_has_a_row_for_every_metric_with_its_labels_and_for_no_other() -> None:
    assert of_readme() == {named.name: set(named.labels) for named in METRICS}


@pytest.mark.parametrize("expression", expressions_of_rules())
def test_a_rule_asks_for_what_is_there(expression: str) -> None:
    assert _SERIES.search(expression) or expression.startswith("up{")
    assert complaints(expression) == []


def test_every_rule_has_an_expression_a_severity_a_summary_and_what_to_do() -> None:
    assert len(rules()) == len(expressions_of_rules()) > 10
    for rule in rules():
        assert re.match(r"Harvester\w+\n", rule)
        assert re.search(r"labels: \{severity: (warning|critical)\}", rule), rule
        assert re.search(r"summary: \S", rule), rule
        assert re.search(r"description: \S", rule), rule


def test_a_rule_shows_labels_only_that_its_expression_leaves() -> None:
    for rule, expression in zip(rules(), expressions_of_rules(), strict=True):
        assert complaints(expression, rule) == [], rule.splitlines()[0]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_rules_fire_when_they_should_and_are_quiet_otherwise(tmp_path: Path) -> None:
    program = shutil.which("promtool") or ""
    shutil.copy(CHECKOUT / "deploy" / "alerts.yml", tmp_path)
    shutil.copy(Path(__file__).with_name("alerts_test.yml"), tmp_path)
    for arguments in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(
            [program, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("panel", list(panels()), ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_is_there_and_shows_labels_that_are_left(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        assert _SERIES.search(target["expr"])
        assert '{instance=~"$instance"' in target["expr"]
        assert complaints(target["expr"], target["legendFormat"]) == []


def test_the_dashboard_can_be_imported_anywhere() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    assert "id" not in DASHBOARD, "Grafana gives it one"
    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "instance"]
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another"
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_every_gauge_and_counter_of_ours_is_drawn() -> None:
    drawn = {
        SERIES[series["name"]].name
        for panel in panels()
        for target in panel["targets"]
        for series in _SERIES.finditer(target["expr"])
    }
    left_out = {"harvester_gauges_age_seconds"}
    assert {named.name for named in METRICS if "_process_" not in named.name} - left_out <= drawn


@pytest.mark.parametrize(
    ("expression", "shown", "complaint"),
    [
        ("harvester_nothing > 0", "", "there is no harvester_nothing"),
        ('harvester_jobs{lane="hub"}', "", "harvester_jobs has no label lane"),
        ("harvester_request_duration_seconds", "", "there is no harvester_request_duration_seconds"),
        (
            'harvester_request_duration_seconds_count{le="1"}',
            "",
            "harvester_request_duration_seconds_count has no label le",
        ),
        ("sum by (lane) (harvester_jobs)", "", "nothing there has a label lane"),
        ("sum by (kind) (harvester_jobs)", "{{ state }}", "the result has no label state"),
        ("sum(harvester_jobs)", "{{kind}}", "the result has no label kind"),
        ("harvester_jobs", "{{ $labels.lane }}", "the result has no label lane"),
        ("sum by (kind, instance) (harvester_jobs)", "{{kind}} {{ $labels.instance }}", None),
    ],
)
def test_what_is_not_there_is_found(expression: str, shown: str, complaint: str | None) -> None:
    assert complaints(expression, shown) == ([] if complaint is None else [complaint])


def test_no_metric_has_a_label_that_grows_with_what_is_harvested() -> None:
    closed = {
        *("kind", "lane", "outcome", "sort", "budget", "route", "identity", "status", "state", "reason", "command"),
        *("version", "revision"),
    }
    assert {label for named in METRICS for label in named.labels} <= closed
    assert isinstance(METRICS[0], Named)
