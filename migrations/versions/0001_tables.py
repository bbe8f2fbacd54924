"""All tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.String(20).with_variant(sa.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "absences",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("first_missing_at", INSTANT, nullable=False),
        sa.Column("last_missing_at", INSTANT, nullable=False),
        sa.Column("passes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_absences")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "budgets",
        sa.Column("budget", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("limit_count", sa.BigInteger(), nullable=False),
        sa.Column("cap", sa.BigInteger(), nullable=False),
        sa.Column("window_s", sa.Float(precision=53), nullable=False),
        sa.Column("window_ends_at", sa.Float(precision=53), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=True),
        sa.Column("next_at", sa.Float(precision=53), nullable=False),
        sa.Column("not_before", sa.Float(precision=53), nullable=False),
        sa.Column("closed_reason", sa.Text(), nullable=True),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("budget", "route", "identity", name=op.f("pk_budgets")),
    )
    op.create_table(
        "harvested_digests",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("harvested_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_harvested_digests")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "images",
        sa.Column("id", ID, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("os", sa.Text(), nullable=True),
        sa.Column("architecture", sa.Text(), nullable=True),
        sa.Column("variant", sa.Text(), nullable=True),
        sa.Column("os_version", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("config_digest", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=True),
        sa.Column("layers_from", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('image', 'attestation', 'artifact')", name=op.f("ck_images_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sa.UniqueConstraint("digest", name=op.f("uq_images_digest")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "instructions",
        sa.Column("id", ID, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instructions")),
        sa.UniqueConstraint("hash", name=op.f("uq_instructions_hash")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "jobs",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("args", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("run_at", INSTANT, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("rescues", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", INSTANT, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("fresh_after", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.CheckConstraint("(state = 'running') = (lease_owner IS NOT NULL)", name=op.f("ck_jobs_lease")),
        sa.CheckConstraint("(state IN ('done', 'dead')) = (finished_at IS NOT NULL)", name=op.f("ck_jobs_finished")),
        sa.CheckConstraint("state IN ('waiting', 'ready', 'running', 'done', 'dead')", name=op.f("ck_jobs_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_jobs_claim",
        "jobs",
        ["lane", "priority", "run_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'ready'"),
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_index(
        "ix_jobs_due",
        "jobs",
        ["run_at"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index("ix_jobs_key", "jobs", ["key"], unique=False)
    op.create_index(
        "ix_jobs_lease",
        "jobs",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "uq_jobs_live_key",
        "jobs",
        ["key"],
        unique=True,
        sqlite_where=sa.text("state IN ('waiting', 'ready', 'running')"),
        postgresql_where=sa.text("state IN ('waiting', 'ready', 'running')"),
    )
    op.create_table(
        "layers",
        sa.Column("id", ID, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("first_seen_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_layers")),
        sa.UniqueConstraint("digest", name=op.f("uq_layers_digest")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "repositories",
        sa.Column("id", ID, nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("full_description", sa.Text(), nullable=True),
        sa.Column("pull_count", sa.BigInteger(), nullable=True),
        sa.Column("star_count", sa.BigInteger(), nullable=True),
        sa.Column("last_updated", INSTANT, nullable=True),
        sa.Column("last_modified", INSTANT, nullable=True),
        sa.Column("date_registered", INSTANT, nullable=True),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("status_description", sa.Text(), nullable=True),
        sa.Column("repository_type", sa.Text(), nullable=True),
        sa.Column("is_official", sa.Boolean(), nullable=False),
        sa.Column("is_automated", sa.Boolean(), nullable=True),
        sa.Column("is_private", sa.Boolean(), nullable=True),
        sa.Column("hub_user", sa.Text(), nullable=True),
        sa.Column("affiliation", sa.Text(), nullable=True),
        sa.Column("collaborator_count", sa.BigInteger(), nullable=True),
        sa.Column("categories", sa.Text(), nullable=True),
        sa.Column("content_types", sa.Text(), nullable=True),
        sa.Column("media_types", sa.Text(), nullable=True),
        sa.Column("storage_size", sa.BigInteger(), nullable=True),
        sa.Column("immutable_tags", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("first_seen_at", INSTANT, nullable=False),
        sa.Column("last_seen_at", INSTANT, nullable=False),
        sa.Column("gone_at", INSTANT, nullable=True),
        sa.Column("next_check_at", INSTANT, nullable=True),
        sa.Column("detailed_at", INSTANT, nullable=True),
        sa.Column("detail_last_modified", INSTANT, nullable=True),
        sa.Column("tags_walked_at", INSTANT, nullable=True),
        sa.Column("tags_last_updated", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repositories")),
        sa.UniqueConstraint("full_name", name=op.f("uq_repositories_full_name")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_repositories_namespace", "repositories", ["namespace"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", ID, nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("pass_began_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_runs_fingerprint", "runs", ["fingerprint"], unique=False)
    op.create_table(
        "image_layers",
        sa.Column("image_id", ID, nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("layer_id", ID, nullable=True),
        sa.Column("instruction_id", ID, nullable=True),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_image_layers_image_id")),
        sa.ForeignKeyConstraint(["instruction_id"], ["instructions.id"], name=op.f("fk_image_layers_instruction_id")),
        sa.ForeignKeyConstraint(["layer_id"], ["layers.id"], name=op.f("fk_image_layers_layer_id")),
        sa.PrimaryKeyConstraint("image_id", "step", name=op.f("pk_image_layers")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_image_layers_layer_id",
        "image_layers",
        ["layer_id"],
        unique=False,
        sqlite_where=sa.text("layer_id IS NOT NULL"),
        postgresql_where=sa.text("layer_id IS NOT NULL"),
    )
    op.create_table(
        "listings",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("repository_id", ID, nullable=True),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("reported_count", sa.BigInteger(), nullable=True),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column("is_complete", sa.Boolean(), nullable=False),
        sa.Column("first_count", sa.BigInteger(), nullable=True),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("next_page", sa.Text(), nullable=True),
        sa.Column("walk_key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], name=op.f("fk_listings_repository_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_listings")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_listings_kind_subject", "listings", ["kind", "subject"], unique=False)
    op.create_index("ix_listings_walk_key", "listings", ["walk_key", "started_at"], unique=False)
    op.create_table(
        "pull_history",
        sa.Column("repository_id", ID, nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("pull_count", sa.BigInteger(), nullable=False),
        sa.Column("star_count", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], name=op.f("fk_pull_history_repository_id")),
        sa.PrimaryKeyConstraint("repository_id", "observed_at", name=op.f("pk_pull_history")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_jobs",
        sa.Column("run_id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_run_jobs_job_id")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_jobs_run_id")),
        sa.PrimaryKeyConstraint("run_id", "job_id", name=op.f("pk_run_jobs")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_run_jobs_job_id", "run_jobs", ["job_id"], unique=False)
    op.create_table(
        "tags",
        sa.Column("id", ID, nullable=False),
        sa.Column("repository_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("full_size", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("last_updated", INSTANT, nullable=True),
        sa.Column("last_pushed", INSTANT, nullable=True),
        sa.Column("last_pulled", INSTANT, nullable=True),
        sa.Column("last_updater", sa.Text(), nullable=True),
        sa.Column("first_seen_at", INSTANT, nullable=False),
        sa.Column("last_seen_at", INSTANT, nullable=False),
        sa.Column("gone_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], name=op.f("fk_tags_repository_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_tags_digest",
        "tags",
        ["digest"],
        unique=False,
        sqlite_where=sa.text("digest IS NOT NULL"),
        postgresql_where=sa.text("digest IS NOT NULL"),
    )
    op.create_index("uq_tags_repository_id_name", "tags", ["repository_id", "name"], unique=True)
    op.create_table(
        "events",
        sa.Column("id", ID, nullable=False),
        sa.Column("happened_at", INSTANT, nullable=True),
        sa.Column("observed_at", INSTANT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("repository_id", ID, nullable=True),
        sa.Column("tag_id", ID, nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], name=op.f("fk_events_repository_id")),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name=op.f("fk_events_tag_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_kind_observed_at", "events", ["kind", "observed_at"], unique=False)
    op.create_table(
        "listing_names",
        sa.Column("listing_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["listing_id"], ["listings.id"], name=op.f("fk_listing_names_listing_id")),
        sa.PrimaryKeyConstraint("listing_id", "name", name=op.f("pk_listing_names")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tag_history",
        sa.Column("tag_id", ID, nullable=False),
        sa.Column("seen_from", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("seen_until", sa.BigInteger(), nullable=True),
        sa.Column("pushed_at", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name=op.f("fk_tag_history_tag_id")),
        sa.PrimaryKeyConstraint("tag_id", "seen_from", name=op.f("pk_tag_history")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tag_images",
        sa.Column("tag_id", ID, nullable=False),
        sa.Column("image_id", ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("last_pulled", INSTANT, nullable=True),
        sa.Column("last_pushed", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_tag_images_image_id")),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name=op.f("fk_tag_images_tag_id")),
        sa.PrimaryKeyConstraint("tag_id", "image_id", name=op.f("pk_tag_images")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_tag_images_image_id", "tag_images", ["image_id"], unique=False)


def downgrade() -> None:
    op.drop_table("tag_images")
    op.drop_table("tag_history")
    op.drop_table("listing_names")
    op.drop_table("events")
    op.drop_table("tags")
    op.drop_table("run_jobs")
    op.drop_table("pull_history")
    op.drop_table("listings")
    op.drop_table("image_layers")
    op.drop_table("runs")
    op.drop_table("repositories")
    op.drop_table("layers")
    op.drop_table("jobs")
    op.drop_table("instructions")
    op.drop_table("images")
    op.drop_table("harvested_digests")
    op.drop_table("budgets")
    op.drop_table("absences")
