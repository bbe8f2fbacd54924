"""Query plans: what runs per job, per page and per second finds its rows by an index, whatever the size of the database."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Connection, Engine, event

from harvester import jobs
from harvester.events import Event
from harvester.jobs import Args, Done, Harvest, Job, Settled
from harvester.policy import LayerPolicy
from harvester.records import (
    Absent,
    Drifted,
    Image,
    Layer,
    LayersSeen,
    Platform,
    Refused,
    Repository,
    RepositorySeen,
    Tag,
    TagsSeen,
    WalkStep,
)
from harvester.store import (
    answers,
    cadences,
    facts,
    forgetting,
    looks,
    migrate,
    outbox,
    queue,
    retention,
    runs,
    statements,
    vanishing,
)
from harvester.store.engine import database_url, open_writer
from harvester.store.freshness import settle_known
from harvester.store.gauges import read_gauges
from harvester.store.harvest import store_harvest
from harvester.store.moment import Moment
from harvester.targets import Target
from tests.guards import seeded

ROWS = 3000
NOW = Moment.of(1_795_190_400 + 3600)

BIG = {"jobs", "run_jobs", "tags", "images", "tag_images", "layers", "image_layers", "tag_history", "pull_history"} | {
    *("instructions", "repositories", "harvested_digests", "listing_names", "indexes", "index_images", "events"),
    *("deliveries", "cadences"),
}
"""Tables that grow with what is harvested: no statement here may read one from end to end."""

OF_THE_LIVE = ("uq_jobs_live_key", "ix_jobs_lease", "ix_repositories_next_check_at")
"""Indexes that hold the live jobs, the running ones or what has looks between passes: these may be read from end to end."""

OF_THE_WATCHED = (
    *OF_THE_LIVE,
    "ix_jobs_claim",
    "ix_jobs_due",
    "ix_jobs_dead",
    "ix_deliveries_waiting",
    "ix_deliveries_dead",
)
"""Of these also what is counted now and then may be read from end to end: they hold what is left to do, or what failed."""


class Plan(NamedTuple):
    """A statement as it was run, and how SQLite means to answer it."""

    sql: str
    lines: list[str]

    @property
    def scanned(self) -> list[str]:
        """Lines that read a big table, or an index over all of it, from end to end."""
        tables = {
            alias: table for table, alias in re.findall(r"(?:FROM|JOIN|UPDATE|INTO)\s+(\w+)(?:\s+(\w+))?", self.sql)
        }
        found = re.compile(r"SCAN (\w+)")
        return [
            line
            for line in self.lines
            if (scan := found.match(line))
            and (scan[1] in BIG or tables.get(scan[1], "") in BIG)
            and not line.endswith(OF_THE_LIVE)
        ]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plans") / "template.db"
    engine = open_writer(database_url(str(path)))
    migrate.upgrade(engine)
    engine.dispose()
    seeded.fill(str(path), ROWS)
    return path


@pytest.fixture(params=["without statistics", "with statistics"])
def connection(request: pytest.FixtureRequest, template: Path, tmp_path: Path) -> Iterator[Connection]:
    """A writing transaction on a seeded database."""
    path = Path(shutil.copyfile(template, tmp_path / "harvester.db"))
    engine = open_writer(database_url(str(path)))
    if request.param == "with statistics":
        with engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@contextmanager
def noted(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are run meanwhile, each once, with the parameters of its first row."""
    seen: dict[str, Any] = {}

    def note(_c: Connection, _cursor: Any, sql: str, parameters: Any, _context: Any, many: bool) -> None:
        seen.setdefault(sql, parameters[0] if many else parameters)

    found: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", note)
    at_entry = statements._Errors.__init__

    def noting(self: Any, connection: Connection, sql: str) -> None:
        # The store's own statements go to the driver without an event; a plan needs as many values as there are marks.
        seen.setdefault(sql, (None,) * sql.count("?"))
        at_entry(self, connection, sql)

    statements._Errors.__init__ = noting  # type: ignore[method-assign]
    try:
        yield found
    finally:
        statements._Errors.__init__ = at_entry  # type: ignore[method-assign]
        event.remove(engine, "before_cursor_execute", note)
        found.extend(seen.items())


def plans(connection: Connection, act: Callable[[Connection], object]) -> list[Plan]:
    """The plan of every statement that `act` runs."""
    with noted(connection.engine) as found:
        act(connection)
    return [
        Plan(
            sql,
            [
                str(row[3]).replace("COVERING INDEX", "INDEX")
                for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)
            ],
        )
        for sql, parameters in found
    ]


def job(kind: jobs.Kind, args: Args, key: str = "x") -> Job:
    return Job(1, kind, key, args, 1, NOW.text)


A_CHANGE = Event(id=10, kind="drift", rank=3, observed_at=NOW.text)
PARTS = tuple(range(0, 64, 3))
A_JOB = jobs.images(Args(subject="ns1/r1", digest="sha256:t2"))
A_JOB_CLAIMED = job("tags.page", Args(subject="ns1/r1"))
LIVE = jobs.images(Args(subject="ns1/r1", digest="sha256:new"))
A_TAG = Tag(
    name="t10",
    digest="sha256:moved",
    last_pushed="2026-11-20T16:30:00Z",
    platforms=(Platform(digest="sha256:i10", kind="image", os="linux", architecture="amd64", size=1),),
)
AN_IMAGE = Image(
    platform=Platform(digest="sha256:i2", kind="image", os="linux", architecture="amd64"),
    layers=(Layer("sha256:l2", 5, "RUN 2"), Layer(None, 0, "ENV x=1")),
    layers_from="hub",
)
A_REPOSITORY = Repository(namespace="ns1", name="r1", source="detail", pull_count=7)

A_LIST = WalkStep(
    walk="namespace.page:ns1",
    is_first=True,
    kind="namespace",
    subject="ns1",
    reported_count=1,
    names=("ns1/r1",),
    stop_reason="end",
)
A_REFUSED_ROW = Drifted(subject="ns1/r1", url="/v2/x", refused=Refused(path="$.results[0]", reason="why", sample="{}"))


def stored(*records: Any) -> Callable[[Connection], object]:
    return lambda connection: store_harvest(connection, A_JOB_CLAIMED, Harvest(records=records), NOW)


def stored_later(*records: Any) -> Callable[[Connection], object]:
    """After all days that are stored, so that what is new is judged."""
    later = Moment.of(NOW.seconds + 30 * 86_400)
    return lambda connection: store_harvest(connection, A_JOB_CLAIMED, Harvest(records=records), later)


def known(kind: jobs.Kind, args: Args) -> Callable[[Connection], object]:
    return lambda connection: settle_known(connection, [job(kind, args)], NOW)


def tidied(part: retention.Part) -> Callable[[Connection], object]:
    """The steps of a round in which everything is old."""
    keep = retention.Keep(0, 0, 0)

    def steps(connection: Connection) -> None:
        current = retention.begin(keep, Moment.of(NOW.seconds + 90 * 86_400), parts=(part,))
        while not current.is_over:
            current = retention.step(connection, current)

    return steps


# What is done, and an index that has to be in the plan of one of its statements.
ACTS: dict[str, tuple[Callable[[Connection], object], str]] = {
    "claim": (
        lambda c: queue.claim(c, "hub", NOW, owner="me", wanted=16, run_id=None),
        "SEARCH jobs USING INDEX ix_jobs_claim (lane=? AND priority=?)",
    ),
    "claim of a run": (
        lambda c: queue.claim(c, "hub", NOW, owner="me", wanted=16, run_id=1),
        "USING INDEX ix_jobs_claim (lane=? AND priority=?",
    ),
    "claim of a route": (
        lambda c: queue.claim(c, "hub", NOW, owner="me", wanted=16, run_id=None, shards=PARTS),
        "SEARCH jobs USING INDEX ix_jobs_claim (lane=? AND priority=?)",
    ),
    "claim of a run and a route": (
        lambda c: queue.claim(c, "hub", NOW, owner="me", wanted=16, run_id=1, shards=PARTS),
        "USING INDEX ix_jobs_claim (lane=? AND priority=?",
    ),
    "taking what was found": (
        lambda c: queue.claim(c, "hub", NOW, owner="me", wanted=16, run_id=None),
        "SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)",
    ),
    "where a run has live jobs": (
        lambda c: runs.live_shards(c, 1),
        "SEARCH r USING PRIMARY KEY (run_id=? AND job_id=?)",
    ),
    "the run of a claimed job": (
        lambda c: queue.claim(c, "hub", NOW, owner="me", wanted=16, run_id=1),
        "SEARCH r USING PRIMARY KEY (run_id=? AND job_id=?)",
    ),
    "live key conflict": (
        lambda c: queue.enqueue(c, [LIVE, LIVE], NOW, runs=[1], fresh_after=NOW.text),
        "SEARCH jobs USING INDEX uq_jobs_live_key (key=?)",
    ),
    "what a run has settled": (
        lambda c: queue.enqueue(c, [A_JOB, LIVE], NOW, runs=[1], fresh_after=NOW.text),
        "SEARCH j USING INDEX ix_jobs_key (key=?)",
    ),
    "due waiting jobs": (lambda c: queue.promote(c, NOW), "SEARCH jobs USING INDEX ix_jobs_due (run_at<?)"),
    "expired leases": (lambda c: queue.rescue(c, NOW), "jobs USING INDEX ix_jobs_lease"),
    "whether anything is due": (lambda c: queue.is_due(c, "hub", NOW), "USING INDEX ix_jobs_claim (lane=?)"),
    "whether anything is due for a route": (
        lambda c: queue.is_due(c, "hub", NOW, PARTS),
        "USING INDEX ix_jobs_claim (lane=?",
    ),
    "held jobs": (
        lambda c: queue.held(c, [job("images", A_JOB.args)], "somebody"),
        "SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)",
    ),
    "settling": (
        lambda c: queue.settle(c, [Settled(job("images", A_JOB.args), Done(Harvest()), NOW.seconds)], NOW),
        "SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)",
    ),
    "the runs of a job": (lambda c: queue.runs_of(c, 1), "ix_run_jobs_job_id (job_id=?)"),
    "the page of a walk": (
        lambda c: queue.join_walk(c, "tags.page:x", [1], but=""),
        "SEARCH jobs USING INDEX uq_jobs_live_key (key>? AND key<?)",
    ),
    "whether a run is over": (
        lambda c: runs.finish_run(c, 1, NOW),
        "SEARCH r USING PRIMARY KEY (run_id=? AND job_id=?)",
    ),
    "harvested digest": (
        known("images", Args(subject="a/b", digest="sha256:t2")),
        "SEARCH harvested_digests USING PRIMARY KEY (digest=?)",
    ),
    "harvested digests at once": (
        lambda c: queue.enqueue(c, [A_JOB], NOW, runs=[1], fresh_after=NOW.text),
        "SEARCH harvested_digests USING PRIMARY KEY (digest=?)",
    ),
    "tag by digest": (
        known("images", Args(subject="a/b", digest="sha256:t2", pulls=True)),
        "SEARCH h USING INDEX ix_tag_history_digest (digest=?)",
    ),
    "a detailed image": (
        known("manifest", Args(subject="a/b", digest="sha256:i2")),
        "SEARCH images USING INDEX sqlite_autoindex_images_1 (digest=?)",
    ),
    "a known repository": (
        known("repository", Args(subject="ns1/r1")),
        "SEARCH repositories USING INDEX sqlite_autoindex_repositories_1 (full_name=?)",
    ),
    "a known tag": (
        known("tag", Args(subject="ns1/r1", tag="t10")),
        "SEARCH t USING INDEX uq_tags_repository_id_name (repository_id=? AND name=?)",
    ),
    "tags of a repository by name": (
        stored(TagsSeen(repository="ns1/r1", tags=(A_TAG,), source="listing")),
        "SEARCH tags USING INDEX uq_tags_repository_id_name (repository_id=? AND name=?)",
    ),
    "open interval of a tag": (
        stored(TagsSeen(repository="ns1/r1", tags=(A_TAG,), source="listing")),
        "SEARCH tag_history USING PRIMARY KEY (tag_id=?)",
    ),
    "images of a moved tag": (
        stored(TagsSeen(repository="ns1/r1", tags=(A_TAG,), source="listing")),
        "SEARCH tag_images USING PRIMARY KEY (tag_id=?)",
    ),
    "what the index of a moved tag consisted of": (
        stored(TagsSeen(repository="ns1/r1", tags=(A_TAG,), source="listing")),
        "SEARCH x USING INDEX sqlite_autoindex_indexes_1 (digest=?)",
    ),
    "image by digest": (
        stored(TagsSeen(repository="ns1/r1", tags=(A_TAG,), source="listing")),
        "SEARCH i USING INDEX sqlite_autoindex_images_1 (digest=?)",
    ),
    "new events": (
        lambda c: outbox.enrol(c, "n1", lambda event: True, NOW),
        "SEARCH e USING INTEGER PRIMARY KEY (rowid>?)",
    ),
    "an event once for each receiver": (
        lambda c: outbox.due(c, "n1", NOW, 100),
        "SEARCH d USING INDEX uq_deliveries_notifier_event_id (notifier=? AND event_id=?)",
    ),
    "the oldest of each subject": (
        lambda c: outbox.due(c, "n1", NOW, 100),
        "SEARCH deliveries USING INDEX ix_deliveries_waiting (notifier=?)",
    ),
    "what a feed holds": (
        lambda c: outbox.latest(c, "n1", lambda event: True, most=100, looked_at=20_000),
        "SEARCH e USING INTEGER PRIMARY KEY (rowid<?)",
    ),
    "taking a delivery": (
        lambda c: outbox.take(c, outbox.Delivery(10, A_CHANGE, 0), NOW),
        "SEARCH deliveries USING INTEGER PRIMARY KEY (rowid=?)",
    ),
    "pull history of a day": (
        stored(RepositorySeen(repository=A_REPOSITORY)),
        "SEARCH p USING PRIMARY KEY (repository_id=? AND observed_at>? AND observed_at<?)",
    ),
    "what is stored of repositories that are seen": (
        stored(RepositorySeen(repository=A_REPOSITORY)),
        "SEARCH repositories USING INDEX sqlite_autoindex_repositories_1 (full_name=?)",
    ),
    "what a namespace lacks": (
        stored(RepositorySeen(repository=A_REPOSITORY), A_LIST),
        "SEARCH r USING INDEX ix_repositories_namespace (namespace=?)",
    ),
    "absences of a namespace": (
        stored(Absent(repository="ns1/r1")),
        "SEARCH r USING INDEX ix_repositories_namespace (namespace=?)",
    ),
    "how the far end does": (
        lambda c: vanishing._misbehaves(c, "ns1", NOW.text, NOW),
        "SEARCH r USING INDEX sqlite_autoindex_repositories_1 (full_name=?)",
    ),
    "walks of this pass": (
        lambda c: vanishing._WALKS_OF_PASS.all(c, (100, NOW.text)),
        "SEARCH listings USING INTEGER PRIMARY KEY (rowid>?)",
    ),
    "whether a drift was told": (
        stored(A_REFUSED_ROW),
        "SEARCH events USING INDEX ix_events_kind_observed_at (kind=? AND observed_at>? AND observed_at<?)",
    ),
    "pull count before": (
        stored_later(RepositorySeen(repository=A_REPOSITORY)),
        "SEARCH n USING PRIMARY KEY (repository_id=? AND observed_at=?)",
    ),
    "pull counts of the days before": (
        stored_later(RepositorySeen(repository=A_REPOSITORY)),
        "SEARCH p USING PRIMARY KEY (repository_id=? AND observed_at<?)",
    ),
    "layer by digest": (
        stored(LayersSeen(tag_digest="sha256:t2", images=(AN_IMAGE,))),
        "SEARCH l USING INDEX sqlite_autoindex_layers_1 (digest=?)",
    ),
    "what is known of repositories": (
        lambda c: facts.facts_of(c, ["ns1/r1", "ns2/r2"], Args(subject="", tags="newest:5", layers="all"), NOW),
        "SEARCH tags USING INDEX uq_tags_repository_id_name (repository_id=?)",
    ),
    "walks of repositories": (
        lambda c: facts.facts_of(c, ["ns1/r1", "ns2/r2"], Args(subject="", tags="newest:5"), NOW),
        "SEARCH listings USING INDEX ix_listings_kind_subject (kind=? AND subject=?)",
    ),
    "walks by one policy": (
        lambda c: facts.facts_of(c, ["ns1/r1", "ns2/r2"], Args(subject="", tags="newest:5"), NOW),
        "SEARCH listings USING INDEX ix_listings_walk_key (walk_key=?)",
    ),
    "images that were not pulled": (
        lambda c: facts.unpulled(c, ["ns1/r1", "ns2/r2"], LayerPolicy("latest")),
        "SEARCH t USING INDEX uq_tags_repository_id_name (repository_id=? AND name=?)",
    ),
    "repositories of a namespace": (
        lambda c: facts.members(c, ["ns1", "ns2"]),
        "SEARCH repositories USING INDEX ix_repositories_namespace (namespace=?)",
    ),
    "due looks": (
        lambda c: looks.due_looks(c, NOW, 10),
        "SEARCH r USING INDEX ix_repositories_next_check_at (next_check_at<?)",
    ),
    "what a look sets": (
        lambda c: looks._SET.many(c, [(NOW.text, 1)]),
        "SEARCH repositories USING INTEGER PRIMARY KEY (rowid=?)",
    ),
    "what a look at a list sets": (
        lambda c: looks._SET_ALL.many(c, [(NOW.text, "ns1", NOW.text)]),
        "SEARCH repositories USING INDEX ix_repositories_",
    ),
    "how long the list of a namespace is": (
        lambda c: looks._SIZE.all(c, ("ns1",)),
        "SEARCH repositories USING INDEX ix_repositories_namespace (namespace=?)",
    ),
    "what a namespace that is watched covers": (
        lambda c: cadences._OF_NAMESPACE.all(c, ("ns1",)),
        "SEARCH repositories USING INDEX ix_repositories_namespace (namespace=?)",
    ),
    "repositories that are watched alone": (
        cadences._OF_REPOSITORIES.all,
        "SEARCH r USING INDEX sqlite_autoindex_repositories_1 (full_name=?)",
    ),
    "what a search that is watched covers": (
        lambda c: cadences._OF_SEARCH.all(c, ("prometheus", 1)),
        "SEARCH n USING PRIMARY KEY (listing_id=?)",
    ),
    "whether a look is left over": (
        cadences._LEFT_OVER.all,
        "USING INDEX ix_repositories_next_check_at",
    ),
    "noting looks": (
        lambda c: cadences._note(c, [((1, 1, 1, NOW.text, None, 1), (NOW.text, 1))]),
        "SEARCH cadences USING PRIMARY KEY (repository_id=?)",
    ),
    "setting intervals": (
        lambda c: cadences._set(c, [((60, 1), (NOW.text, 1, 60))]),
        "SEARCH c USING PRIMARY KEY (repository_id=?)",
    ),
    "instruction by hash": (
        stored(LayersSeen(tag_digest="sha256:t2", images=(AN_IMAGE,))),
        "SEARCH t USING INDEX sqlite_autoindex_instructions_1 (hash=?)",
    ),
    "digests that begin so": (
        lambda c: answers.matching(c, "sha256:i9", 6),
        "SEARCH images USING INDEX ix_images_config_digest (config_digest>? AND config_digest<?)",
    ),
    "jobs that were done long ago": (tidied("jobs"), "SEARCH j USING INTEGER PRIMARY KEY (rowid>?)"),
    "the runs of jobs that were done": (tidied("jobs"), "SEARCH l USING INDEX ix_run_jobs_job_id (job_id=?)"),
    "runs without jobs": (tidied("runs"), "SEARCH l USING PRIMARY KEY (run_id=?)"),
    "pull counts that are finer than a day": (
        tidied("pulls"),
        "SEARCH p USING PRIMARY KEY (repository_id=? AND observed_at>? AND observed_at<?)",
    ),
    "deliveries that arrived": (tidied("deliveries"), "SEARCH d USING INTEGER PRIMARY KEY (rowid>?)"),
    "names that nobody asks for": (tidied("names"), "SEARCH listing_names USING PRIMARY KEY (listing_id>?)"),
    "jobs of a walk": (tidied("names"), "SEARCH j USING INDEX ix_jobs_key (key>? AND key<?)"),
    "what is forgotten of a repository": (
        lambda c: forgetting._step(c, Target("repository", "ns1/r1")),
        "SEARCH tags USING INDEX uq_tags_repository_id_name (repository_id=?)",
    ),
    "what is forgotten of a tag": (
        lambda c: forgetting._step(c, Target("tag", "ns1/r1", "t10")),
        "SEARCH events USING INDEX ix_events_tag_id (tag_id=?)",
    ),
    "deliveries of what is forgotten": (
        lambda c: forgetting._step(c, Target("repository", "ns1/r1")),
        "SEARCH deliveries USING INDEX ix_deliveries_event_id (event_id=?)",
    ),
    "images that nothing shows": (
        lambda c: forgetting._step(c, Target("repository", "ns1/r1")),
        "SEARCH h USING INDEX ix_tag_history_digest (digest=?)",
    ),
    "where a digest was seen": (
        lambda c: answers.places(c, "sha256:i9", 100),
        "SEARCH h USING INDEX ix_tag_history_digest (digest=?)",
    ),
    "events since then": (
        lambda c: answers.changes(c, NOW.text, rank=3, passes=lambda change: True),
        "SEARCH e USING INDEX ix_events_observed_at (observed_at>?)",
    ),
    "whether a digest's images are all there": (
        stored(LayersSeen(tag_digest="sha256:t2", images=(AN_IMAGE,))),
        "SEARCH h USING INDEX ix_tag_history_digest (digest=?)",
    ),
}


@pytest.mark.parametrize("act", ACTS)
def test_the_plan_names_the_index_and_reads_no_big_table_from_end_to_end(connection: Connection, act: str) -> None:
    do, wanted = ACTS[act]
    found = plans(connection, do)
    lines = [line for plan in found for line in plan.lines]
    assert any(wanted in line for line in lines), "\n".join(lines)
    assert [(line, plan.sql) for plan in found for line in plan.scanned] == []


@pytest.mark.parametrize(
    "act", ["what a run has settled", "claim of a run", "claim of a run and a route", "whether a run is over"]
)
def test_no_question_about_a_run_reads_all_of_its_jobs(connection: Connection, act: str) -> None:
    do, _ = ACTS[act]
    whole_run = re.compile(r"(run_jobs|r) USING (PRIMARY KEY|INDEX \w+) \(run_id=\?\)")
    lines = [(line, plan.sql) for plan in plans(connection, do) for line in plan.lines if whole_run.search(line)]
    assert lines == []


GAUGES = {
    "jobs that wait": "SCAN jobs USING INDEX ix_jobs_due",
    "jobs that are ready": "SCAN jobs USING INDEX ix_jobs_claim",
    "jobs that are worked on": "SCAN jobs USING INDEX ix_jobs_lease",
    "jobs that failed": "SCAN jobs USING INDEX ix_jobs_dead",
    "repositories that are overdue": "SEARCH repositories USING INDEX ix_repositories_next_check_at (next_check_at>?",
    "their intervals": "SEARCH c USING PRIMARY KEY (repository_id=?)",
    "events that wait": "SCAN deliveries USING INDEX ix_deliveries_waiting",
    "events that were given up": "SCAN deliveries USING INDEX ix_deliveries_dead",
}
"""What a reading of the gauges counts, and by what."""

TINY = ("budgets", "processes", "watches")
"""Tables of a few rows, whatever is harvested."""


@pytest.mark.parametrize("what", GAUGES)
def test_a_reading_of_the_gauges_finds_it_by_an_index(connection: Connection, what: str) -> None:
    earlier = read_gauges(connection, NOW)
    found = plans(connection, lambda c: read_gauges(c, NOW, earlier=earlier))
    lines = [line for plan in found for line in plan.lines]
    assert any(GAUGES[what] in line for line in lines), "\n".join(lines)


def test_a_reading_of_the_gauges_reads_no_table_from_end_to_end_but_the_tiny_ones(connection: Connection) -> None:
    earlier = read_gauges(connection, NOW)
    found = plans(connection, lambda c: read_gauges(c, NOW, earlier=earlier))
    scanned = {line for plan in found for line in plan.lines if line.startswith("SCAN")}
    assert len(found) > 10
    few = tuple(f"SCAN {name}" for name in (*TINY, "o"))
    assert [line for line in scanned if not line.endswith(OF_THE_WATCHED) and not line.startswith(few)] == []
    assert not any("listings" in plan.sql or "v_incomplete" in plan.sql for plan in found)


def test_renewing_leases_reads_the_running_jobs_only(connection: Connection) -> None:
    [plan] = plans(connection, lambda c: queue.renew(c, NOW, owner="somebody"))
    assert all("ix_jobs_lease" in line for line in plan.lines), plan.lines


# What people ask by name.
QUESTIONS = {
    "SELECT * FROM v_tags WHERE full_name = 'ns1/r1'": "sqlite_autoindex_repositories_1 (full_name=?)",
    "SELECT * FROM v_tags WHERE full_name = 'ns1/r1' AND tag = 't10'": "uq_tags_repository_id_name (repository_id=? AND name=?)",
    "SELECT * FROM v_repositories WHERE full_name = 'ns1/r1'": "sqlite_autoindex_repositories_1 (full_name=?)",
    "SELECT * FROM v_tag_images WHERE full_name = 'ns1/r1' AND tag = 't10'": "uq_tags_repository_id_name",
    "SELECT * FROM v_tag_timeline WHERE full_name = 'ns1/r1' AND tag = 't10'": "uq_tags_repository_id_name",
    "SELECT * FROM v_pull_history WHERE full_name = 'ns1/r1'": "USING PRIMARY KEY (repository_id=?)",
    "SELECT * FROM v_pull_daily WHERE full_name = 'ns1/r1'": "SEARCH p USING PRIMARY KEY (repository_id=?)",
    "SELECT * FROM v_pull_daily WHERE full_name = 'ns1/r1' AND flag = 'jump' AND day > '2026-01-01'": "SEARCH p USING PRIMARY KEY",
}

WHEREIS = "SELECT * FROM v_digest_whereis WHERE digest = 'sha256:i9'"
ARMS = [
    "h USING INDEX ix_tag_history_digest (digest=?)",
    *["i USING INDEX sqlite_autoindex_images_1 (digest=?)"] * 2,
    *["i USING INDEX ix_images_config_digest (config_digest=?)"] * 2,
    *["l USING INDEX sqlite_autoindex_layers_1 (digest=?)"] * 2,
]
"""How each arm of the view begins: at the digest that was asked for."""


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_view_asked_by_name_reads_no_big_table_from_end_to_end(connection: Connection, question: str) -> None:
    [plan] = plans(connection, lambda c: c.exec_driver_sql(question))
    assert any(QUESTIONS[question] in line for line in plan.lines), plan.lines
    # What a subquery yields row by row is scanned as well: how much that is, its own lines say.
    inner = {line.replace("CO-ROUTINE", "SCAN") for line in plan.lines if line.startswith("CO-ROUTINE")}
    assert [line for line in plan.lines if line.startswith("SCAN") and line not in inner | {"SCAN i"}] == []


def test_every_arm_of_whereis_begins_at_the_digest_and_reads_no_big_table_from_end_to_end(
    connection: Connection,
) -> None:
    [plan] = plans(connection, lambda c: c.exec_driver_sql(WHEREIS))
    arms = "\n".join(plan.lines).split("\nUNION ALL\n")
    first = [next(line for line in arm.splitlines() if line.startswith(("SEARCH", "SCAN"))) for arm in arms]
    assert first == [f"SEARCH {arm}" for arm in ARMS]
    of_intervals = [arm for arm in arms if "SEARCH n USING" in arm]
    assert len(of_intervals) == 4
    assert all("SEARCH h USING INDEX ix_tag_history_digest (digest=?)" in arm for arm in of_intervals)
    scanned = [line for line in plan.lines if line.startswith("SCAN")]
    assert set(scanned) == {"SCAN CONSTANT ROW", "SCAN v_digest_whereis"}, "the view's own rows, and no table"


def test_a_scan_is_seen_under_its_alias_too(connection: Connection) -> None:
    sql = "SELECT 1 FROM jobs j JOIN tags t ON t.id = j.id WHERE j.last_error = 'x' OR t.status = 'x'"
    [plan] = plans(connection, lambda c: c.exec_driver_sql(sql))
    assert len(plan.scanned) == 1
    [plan] = plans(connection, lambda c: c.exec_driver_sql("SELECT count(*) FROM layers WHERE size = 5"))
    assert plan.scanned == ["SCAN layers"]


@pytest.mark.parametrize(
    ("index", "act"),
    [
        ("ix_jobs_claim", "claim"),
        ("ix_jobs_due", "due waiting jobs"),
        ("ix_jobs_lease", "expired leases"),
        ("ix_tag_history_digest", "tag by digest"),
        ("uq_tags_repository_id_name", "a known tag"),
    ],
)
def test_without_its_index_the_plan_is_another(connection: Connection, index: str, act: str) -> None:
    connection.exec_driver_sql(f"DROP INDEX {index}")
    do, wanted = ACTS[act]
    assert not any(wanted in line for plan in plans(connection, do) for line in plan.lines)
