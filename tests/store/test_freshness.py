"""What is settled without asking, because the store knows the answer."""

from __future__ import annotations

from typing import Any

from harvester.jobs import (
    Args,
    Dead,
    Done,
    Harvest,
    Job,
    NewJob,
    images,
    manifest,
    namespace_page,
    repository,
    tags_page,
    walk_key,
)
from harvester.jobs import tag as tag_job
from harvester.records import Absent, LayersSeen, TagsSeen, WalkStep
from harvester.store import queue
from tests.store.clocks import DAY
from tests.store.database import Database
from tests.store.makers import NGINX, WALK, digest, image, job, layer, platform, seen, step, tag, tags

ALL = Args(subject=NGINX, layers="all")


def ask(db: Database, new: NewJob, name: str = "a") -> tuple[list[Job], int]:
    """Begin a run with one job: what of it has to be asked, and the run's id."""
    run = db.begin_run(name, new)
    return db.known(db.claim(run_id=run.id)), run.id


def follow_ups(db: Database, run_id: int) -> list[str]:
    rows = db.all(
        "SELECT j.key FROM jobs j JOIN run_jobs r ON r.job_id = j.id WHERE r.run_id = ? AND j.state = 'ready'"
        " ORDER BY j.key",
        run_id,
    )
    return [row[0] for row in rows]


def layers_of(*numbers: int) -> list[str]:
    return [f"images:{digest(number)}:free" for number in numbers]


def walked(*of_page: Any, layers: str = "all", policy: str = "all", **changes: Any) -> tuple[TagsSeen, WalkStep]:
    values: dict[str, Any] = {"is_first": True, "stop_reason": "end", "reported_count": len(of_page)} | changes
    walk = walk_key("tags.page", Args(subject=NGINX, tags=policy, layers=layers))
    return tags(*of_page), step(walk=walk, **values)


def test_what_is_not_known_is_asked(db: Database) -> None:
    for number, new in enumerate(
        (repository(ALL), tags_page(ALL), namespace_page(Args(subject="grafana")), manifest(ALL))
    ):
        run = db.begin_run(str(number), new)
        jobs = db.claim(run_id=run.id) + db.claim(lane="pulls", run_id=run.id)
        assert db.known(jobs) == jobs
        assert len(jobs) == 1


def test_a_repository_stored_in_this_pass_is_not_asked_and_its_tags_follow(db: Database) -> None:
    run = db.begin_run("a", job("nginx"))
    jobs = db.claim(run_id=run.id)
    db.keep(seen(last_updated="2026-01-01T00:00:00Z"))
    assert db.known(jobs) == []
    assert follow_ups(db, run.id) == [f"{WALK}:1"]
    [page] = db.claim(run_id=run.id)
    assert page.args.updated == "2026-01-01T00:00:00Z"


def test_a_repository_stored_before_this_pass_is_asked(db: Database) -> None:
    db.keep(seen())
    db.clock.advance(1)
    asked, _ = ask(db, job("nginx"))
    assert len(asked) == 1


def test_a_repository_that_a_list_only_mentioned_is_asked(db: Database) -> None:
    db.keep(seen(source="listing"))
    asked, _ = ask(db, job("nginx"))
    assert len(asked) == 1


def test_a_repository_whose_list_shows_the_stored_change_is_not_asked_again(db: Database) -> None:
    db.keep(seen(last_modified="2026-01-01T00:00:00Z"))
    db.clock.advance(DAY)
    asked, run_id = ask(db, job("nginx", modified="2026-01-01T00:00:00Z", updated="2026-02-02T00:00:00Z"))
    assert asked == []
    assert follow_ups(db, run_id) == [f"{WALK}:1"]
    db.clock.advance(DAY)
    asked, _ = ask(db, job("nginx", modified="2026-01-03T00:00:00Z", layers="none"), "b")
    assert len(asked) == 1, "it was changed since"


def test_one_known_tag_is_what_follows_a_known_repository_of_which_one_tag_was_named(db: Database) -> None:
    db.keep(seen())
    asked, run_id = ask(db, job("nginx", tag="1.27", layers="all"))
    assert asked == []
    assert follow_ups(db, run_id) == [f"tag:{NGINX}:1.27:all:all:free"]


def test_a_tag_stored_in_this_pass_is_not_asked_and_its_layers_follow(db: Database) -> None:
    db.keep(tags(tag("1.27", 5)))
    asked, run_id = ask(db, tag_job(Args(subject=NGINX, tag="1.27", layers="all")))
    assert asked == []
    assert follow_ups(db, run_id) == layers_of(5)


def test_a_tag_stored_before_this_pass_is_asked(db: Database) -> None:
    db.keep(tags(tag("1.27", 5)))
    db.clock.advance(1)
    asked, _ = ask(db, tag_job(Args(subject=NGINX, tag="1.27", layers="all")))
    assert len(asked) == 1


def test_tags_walked_in_this_pass_are_not_walked_again_and_their_layers_follow(db: Database) -> None:
    db.keep(seen(), *walked(tag("a", 1), tag("b", 2), tag("c", 1)))
    asked, run_id = ask(db, tags_page(ALL))
    assert asked == []
    assert follow_ups(db, run_id) == layers_of(1, 2), "one question per digest"


def test_tags_are_not_walked_again_while_the_repository_s_last_push_is_the_same(db: Database) -> None:
    db.keep(seen(), *walked(tag("a", 1), updated="2026-01-01T00:00:00Z"))
    db.clock.advance(DAY)
    asked, run_id = ask(db, tags_page(Args(subject=NGINX, layers="all", updated="2026-01-01T00:00:00Z")))
    assert (asked, follow_ups(db, run_id)) == ([], layers_of(1))
    asked, _ = ask(db, tags_page(Args(subject=NGINX, updated="2026-01-02T00:00:00Z")), "b")
    assert len(asked) == 1, "something was pushed"


def test_a_walk_that_saw_less_than_the_count_is_made_once_more_and_then_believed(db: Database) -> None:
    updated = "2026-01-01T00:00:00Z"
    again = tags_page(Args(subject=NGINX, layers="all", updated=updated))
    asked = []
    for name in ("a", "b", "c"):
        db.keep(seen(), *walked(tag("a", 1), updated=updated, reported_count=2))
        db.clock.advance(DAY)
        found, _ = ask(db, again, name)
        asked.append(len(found))
        db.run("DELETE FROM run_jobs")
        db.run("DELETE FROM jobs")
    assert asked == [1, 0, 0]


def test_a_different_layers_policy_still_gets_its_layers_from_known_tags(db: Database) -> None:
    db.keep(seen(), *walked(tag("latest", 1), tag("1.27", 2), tag("1.28", 3), layers="latest"))
    for name, layers, wanted in (("a", "1.*", layers_of(2, 3)), ("b", "all", layers_of(1, 2, 3)), ("c", "none", [])):
        asked, run_id = ask(db, tags_page(Args(subject=NGINX, layers=layers)), name)
        assert (asked, follow_ups(db, run_id)) == ([], wanted)


def test_an_incomplete_walk_does_not_count_for_another_policy(db: Database) -> None:
    db.keep(seen(), *walked(tag("latest", 1), layers="latest", stop_reason="error", reported_count=500))
    asked, _ = ask(db, tags_page(ALL))
    assert len(asked) == 1


def test_tags_that_are_gone_have_no_layers_to_ask_for(db: Database) -> None:
    db.keep(seen(), *walked(tag("a", 1), tag("b", 2)))
    db.run("UPDATE tags SET gone_at = ? WHERE name = 'b'", db.now.text)
    _, run_id = ask(db, tags_page(ALL))
    assert follow_ups(db, run_id) == layers_of(1)


def test_a_walk_under_way_of_another_run_is_joined_and_not_walked_twice(db: Database) -> None:
    first = db.begin_run("a", tags_page(ALL))
    [page] = db.claim(run_id=first.id)
    second_page = tags_page(Args(subject=NGINX, layers="all", page=2, query="page=2"))
    found = walked(tag("a", 1), stop_reason=None, reported_count=2, next_page="page=2")
    after = images(Args(subject=NGINX, tag="a", digest=digest(1), layers="all"))
    db.end(page, Done(Harvest(records=found, follow_ups=(after, second_page))))
    asked, second = ask(db, tags_page(ALL), "b")
    assert asked == [], "no second walk"
    assert follow_ups(db, second) == [*layers_of(1), second_page.key]
    assert not db.finish_run(second), "it waits for the walk that it joined"
    [*_, claimed] = sorted(db.claim(run_id=first.id), key=lambda job: job.kind)
    last = walked(tag("b", 2), is_first=False, reported_count=2)
    after = images(Args(subject=NGINX, tag="b", digest=digest(2), layers="all"))
    db.end(claimed, Done(Harvest(records=last, follow_ups=(after,))))
    assert layers_of(2)[0] in follow_ups(db, second), "what follows is waited for too"


def test_a_walk_that_stands_open_without_a_live_page_is_begun_anew(db: Database) -> None:
    first = db.begin_run("a", tags_page(ALL))
    [page] = db.claim(run_id=first.id)
    following = tags_page(Args(subject=NGINX, layers="all", page=2, query="page=2"))
    found = walked(tag("a", 1), stop_reason=None, reported_count=2, next_page="page=2")
    db.end(page, Done(Harvest(records=found, follow_ups=(following,))))
    [page] = db.claim(run_id=first.id)
    db.end(page, Dead("the database refused a row", Harvest()))
    asked, _ = ask(db, tags_page(ALL), "b")
    assert len(asked) == 1


def test_a_walk_that_failed_in_this_pass_is_begun_anew_by_another_run(db: Database) -> None:
    db.keep(seen(), *walked(tag("a", 1), stop_reason="error"))
    asked, _ = ask(db, tags_page(ALL))
    assert len(asked) == 1


def test_a_policy_s_walk_that_is_known_is_followed_by_the_layers_of_its_own_tags_only(db: Database) -> None:
    db.keep(seen(), *walked(*[tag(f"old{number}", number) for number in range(1, 9)]))
    db.clock.advance(DAY)
    newest = walked(tag("new1", 11), tag("new2", 12), policy="newest:2", stop_reason="policy", reported_count=10)
    db.keep(*newest)
    asked, run_id = ask(db, tags_page(Args(subject=NGINX, tags="newest:2", layers="all")))
    assert asked == []
    assert follow_ups(db, run_id) == layers_of(11, 12)


def test_a_namespace_walked_in_this_pass_is_not_walked_again_and_its_repositories_follow(db: Database) -> None:
    new = namespace_page(Args(subject="grafana"))
    one = step(
        is_first=True,
        walk=new.key.rpartition(":")[0],
        kind="namespace",
        subject="grafana",
        names=("grafana/a", "grafana/b"),
        stop_reason="end",
        reported_count=2,
    )
    db.keep(seen("grafana/a", source="listing", last_updated="2026-01-01T00:00:00Z"), one)
    asked, run_id = ask(db, new)
    assert asked == []
    assert [key.split(":")[1] for key in follow_ups(db, run_id)] == ["grafana/a", "grafana/b"]
    assert {claimed.args.updated for claimed in db.claim()} == {"2026-01-01T00:00:00Z", None}


def test_a_page_that_died_and_was_tried_again_hides_no_repository_from_another_run(db: Database) -> None:
    first = db.begin_run("a", namespace_page(Args(subject="grafana")))
    walk = namespace_page(Args(subject="grafana")).key.rpartition(":")[0]

    def page(name: str, number: int, **changes: Any) -> Harvest:
        one = step(is_first=number == 1, walk=walk, kind="namespace", subject="grafana", names=(name,), **changes)
        return Harvest(records=(one,))

    [claimed] = db.claim(run_id=first.id)
    db.end(claimed, Done(page("grafana/a", 1, next_page="page=2", reported_count=2)))
    db.add(namespace_page(Args(subject="grafana", page=2, query="page=2")), runs=[first.id])
    [claimed] = db.claim(run_id=first.id)
    failed = step(is_first=False, walk=walk, kind="namespace", subject="grafana", stop_reason="error")
    db.end(claimed, Dead("why", Harvest(records=(failed,))))
    with db.engine.begin() as connection:
        assert queue.revive(connection, claimed.id, db.now)
    [claimed] = db.claim(run_id=first.id)
    db.end(claimed, Done(page("grafana/b", 2, stop_reason="end", reported_count=2)))
    asked, second = ask(db, namespace_page(Args(subject="grafana")), "b")
    found = {key.split(":")[1] for key in follow_ups(db, second)}
    assert asked or found == {"grafana/a", "grafana/b"}


def test_images_of_a_harvested_digest_are_not_asked(db: Database) -> None:
    [first] = ask(db, images(Args(subject=NGINX, tag="a", digest=digest(1))))[0]
    db.keep(LayersSeen(tag_digest=digest(1), images=(image(2, layer(3)),)))
    assert db.known([first]) == []


def test_pulls_follow_images_that_are_known_where_the_details_are_not(db: Database) -> None:
    db.keep(tags(tag("a", 1, platform(2), platform(3), platform(4, kind="attestation"))))
    told = image(3, layer(6), layers_from="registry", config_digest=digest(9))
    db.keep(LayersSeen(tag_digest=digest(1), images=(image(2, layer(5)), told)))
    asked, run_id = ask(db, images(Args(subject=NGINX, tag="a", digest=digest(1), pulls=True)))
    assert (asked, follow_ups(db, run_id)) == ([], [f"manifest:{digest(2)}"])


def test_a_manifest_whose_details_are_known_is_not_pulled(db: Database) -> None:
    new = manifest(Args(subject=NGINX, digest=digest(2), pulls=True))
    db.add(new)
    [claimed] = db.claim(lane="pulls")
    db.keep(LayersSeen(tag_digest=None, images=(image(2, layers_from="registry", config_digest=digest(9)),)))
    assert db.known([claimed]) == []


def test_an_absence_met_in_this_pass_is_not_asked_again(db: Database) -> None:
    run = db.begin_run("a", job("nginx"), tag_job(Args(subject=NGINX, tag="x")))
    db.keep(Absent(repository=NGINX))
    db.keep(Absent(repository=NGINX, tag="x"))
    assert db.known(db.claim(run_id=run.id)) == []
    assert follow_ups(db, run.id) == []
    assert db.finish_run(run.id)


def test_an_absence_met_before_this_pass_is_asked_again(db: Database) -> None:
    db.keep(Absent(repository=NGINX))
    db.clock.advance(1)
    asked, _ = ask(db, job("nginx"))
    assert len(asked) == 1
