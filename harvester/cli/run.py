"""`harvester run`: the daemon. Rank 9."""

from __future__ import annotations

import click

from harvester.cli.options import settings_options
from harvester.errors import ConfigError

MIGRATION_S = 3600.0
"""A large database may take so long to be brought up to date; the service manager is asked for that time."""


@click.command("run")
@settings_options
@click.option("--migrate", is_flag=True, help="Bring an older database up to date first.")
@click.option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    help="Default: console on a terminal, JSON elsewhere.",
)
def command(database: str | None, config: str | None, migrate: bool, log_format: str | None) -> int:
    """Keep what the configuration watches up to date, until SIGTERM.

    SIGHUP reads the configuration anew; a file that is wrong is refused whole. A second SIGTERM stops at once.
    """
    import asyncio
    import os
    import signal

    from harvester import config as configuration
    from harvester import log

    # Until the daemon listens to it, it would end the process, which a service manager takes for meant.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])

    def load() -> tuple[configuration.Settings, tuple[str, str] | None]:
        settings = configuration.load(file=config, flags={"database": database})
        if not settings.watch:
            file = config or configuration.DEFAULT_FILE
            where = (
                f"to {file}" if os.path.exists(file) else f"to {file}, which is not there, or name another by --config"
            )
            raise ConfigError(f"nothing is watched: add a `[[watch]]` with a `target` {where}")
        return settings, configuration.credentials(settings)

    settings, credential = load()

    from harvester.clock import SystemClock
    from harvester.composition import open_store
    from harvester.daemon import Daemon
    from harvester.daemon import run as serve
    from harvester.systemd import Notifier, is_under_systemd

    form: log.Form | None = "json" if log_format == "json" or is_under_systemd(os.environ) else None
    log.configure(form="console" if log_format == "console" else form, is_quiet=False)
    clock, notifier = SystemClock(), Notifier.from_environment(os.environ)
    if migrate:
        notifier.extend_timeout(MIGRATION_S)
    engine = open_store(settings, clock, may_upgrade=migrate)
    daemon = Daemon(load, settings, credential, clock, notifier)
    try:
        asyncio.run(serve(daemon, engine))
    finally:
        engine.dispose()
    return 130 if daemon.is_interrupted else 0
