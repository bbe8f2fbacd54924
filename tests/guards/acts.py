"""What runs per job, per page and per second, each with an index that has to be in its plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

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
    outbox,
    queue,
    retention,
    runs,
    tag_changes,
    unwatched,
    vanishing,
)
from harvester.store.freshness import settle_known
from harvester.store.harvest import store_harvest
from harvester.store.moment import Moment
from harvester.targets import Target
from tests.guards.plans import NOW


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
    keep = retention.Keep(0, 0, 0, 0)

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
    "since when all names of a repository are known": (
        lambda c: tag_changes._NAMES_KNOWN.all(c, (1, True)),
        "SEARCH l USING INDEX ix_listings_kind_subject (kind=? AND subject=?)",
    ),
    "runs that are not finished since the last look": (
        lambda c: runs.unfinished(c, runs.Unfinished((1, 2), (), 5)),
        "SEARCH r USING INTEGER PRIMARY KEY (rowid>?)",
    ),
    "runs that are over": (
        lambda c: runs.finish_runs(c, NOW, [1, 2]),
        "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)",
    ),
    "what nobody asks for any more": (
        lambda c: unwatched.cancel_jobs(c, [Target("repository", "ns1/r1")], set(), NOW),
        "SEARCH j USING INDEX uq_jobs_live_key (key>? AND key<?)",
    ),
    "jobs of runs that nobody watches any more": (
        lambda c: unwatched.cancel_jobs(c, [Target("repository", "ns1/r1")], set(), NOW),
        "SEARCH l USING INDEX ix_run_jobs_job_id (job_id=?)",
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
    "walks of long ago": (tidied("listings"), "SEARCH l USING INTEGER PRIMARY KEY (rowid>?)"),
    "a later walk that tells the same": (
        tidied("listings"),
        "SEARCH n USING INDEX ix_listings_walk_key (walk_key=? AND started_at>?)",
    ),
    "an earlier walk that tells the same": (
        tidied("listings"),
        "SEARCH o USING INDEX ix_listings_walk_key (walk_key=? AND started_at<?)",
    ),
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
