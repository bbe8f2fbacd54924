"""The install guide followed to the letter on a booted Debian: `python -m tests.trials.booted TREE`, as root.

TREE is a folder that `debootstrap --variant=minbase --include=systemd-sysv,dbus,python3-venv,sqlite3 bookworm TREE` has made;
`systemd-nspawn` boots it with a network of its own that reaches nothing, and forgets what is written in it. The fake Hub runs
inside; a second machine is booted to move to. Each command of the guide is shown with what the journal said; the end is 1 when
something was not as the guide says.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
GUIDE = (CHECKOUT / "deploy" / "README.md").read_text(encoding="utf-8")

INSIDE = "/srv/harvester"
"""Where the guest sees the checkout."""
WHEELS = "/srv/wheels"
CARRIED = "/srv/carried"
"""What one machine leaves for the next."""

TOKEN = "dckr_pat_right"

BUSY = """contact = "https://example.org/about-our-harvester"
[[watch]]
target = "library/nginx"
every = "5s"
fastest = "5s"
[[watch]]
target = "official"
every = "20s"
"""
WRONG = BUSY + '[[watch]]\ntarget = "Acme/WEB"\n'

FAKE_HUB = f"""[Service]
WorkingDirectory={INSIDE}
ExecStart=/bin/sh -c 'exec /opt/fakehub/bin/python -m tests.fakehub --user anna --secret {TOKEN} > /run/fakehub.out'
ExecStartPost=/bin/sh -c 'until grep -q REGISTRY_URL /run/fakehub.out; do sleep 0.1; done'
ExecStartPost=/bin/sh -c 'sed -n "s/^export //p" /run/fakehub.out > /run/fakehub.env'
"""
FAR_END = """[Unit]
After=fakehub.service
Requires=fakehub.service
[Service]
EnvironmentFile=/run/fakehub.env
"""

STATE = "ActiveState,SubState,Result,ExecMainStatus,NRestarts,StatusText"


def blocks(section: str) -> list[str]:
    """The shell blocks of a section of the guide."""
    _, _, rest = GUIDE.partition(f"\n## {section}\n")
    body, _, _ = rest.partition("\n## ")
    found = re.findall(r"^```sh\n(.*?)^```", body, flags=re.MULTILINE | re.DOTALL)
    assert found, f"the guide has no `{section}` with commands"
    return found


def offline(block: str) -> str:
    """The block for a machine without network and without anybody at an editor."""
    block = re.sub(
        r"^(\S*pip install) (--upgrade )?\.$",
        rf"\1 -q --no-index --find-links {WHEELS} \2harvester",
        block,
        flags=re.MULTILINE,
    )
    return re.sub(r"^(editor .*|journalctl .* -f)$", r": \1", block, flags=re.MULTILINE)


SQL = "sqlite3 /var/lib/harvester/harvester.db 'SELECT full_name, tag_count FROM v_repositories'"
KNOWN = "sqlite3 /var/lib/harvester/harvester.db 'SELECT tag_id, digest, seen_from FROM tag_history'"
"""Each interval as a word."""
MOVE = "Move to another machine"
HEALTH = "python3 -c \"import urllib.request as r; print(r.urlopen('http://127.0.0.1:9464/healthz').status)\""
ASK = blocks("Ask it")[0].splitlines()[0] + "\n"
"""The guide's way to the program, as the account."""


class Guest:
    """A booted machine, and what was not as it should be."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self.complaints: list[str] = []

    def run(self, script: str, *, is_shown: bool = True) -> str:
        """What the script printed, errors included."""
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        variables = [f"PATH={path}", "HOME=/root", "LANG=C.UTF-8", "SYSTEMD_PAGER=cat", "SYSTEMD_COLORS=0"]
        enter = ["nsenter", "--target", str(self._leader), "--all", "env", "-i", *variables]
        trace = "set -x\n" if is_shown else ""
        ended = subprocess.run(
            [*enter, "bash", "-c", f"cd {INSIDE} 2>/dev/null\n{trace}{script}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        if is_shown:
            say(re.sub(r"^\+ ", "# ", ended.stdout, flags=re.MULTILINE))
        return ended.stdout

    def put(self, path: str, text: str) -> None:
        """Write a file inside."""
        self.run(f"install -D -m 644 /dev/stdin {path} <<'END'\n{text}END\n", is_shown=False)

    def state(self) -> str:
        return self.run(f"systemctl show harvester.service -p {STATE}", is_shown=False)

    def journal(self, since: float) -> str:
        """What it says since then, and that shown without a line for each job."""
        found = self.run(f"journalctl -u 'harvester*' -o short-precise --no-pager --since @{since:.3f}", is_shown=False)
        say("\n".join(line for line in found.splitlines() if '"job.done"' not in line))
        return found

    def until(self, what: str, holds: Callable[[], bool], seconds: float = 60) -> None:
        """Wait for something; a complaint where it does not come about."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                self.expect(what, False)
                return
            time.sleep(0.25)
        self.expect(what, True)

    def expect(self, what: str, holds: bool) -> None:
        say(f"{'seen' if holds else 'NOT SEEN'}: {what}\n")
        if not holds:
            self.complaints.append(what)

    def main_pid(self) -> int:
        """The daemon's process; 0 where there is none."""
        return int(self.run("systemctl show harvester.service -p MainPID --value", is_shown=False))


def say(text: str) -> None:
    sys.stdout.write(text if text.endswith("\n") or not text else f"{text}\n")
    sys.stdout.flush()


def wheels(folder: Path) -> None:
    """The program and what it needs, as files."""
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-qq", "-w", folder, CHECKOUT, "h11"], check=True)


@contextmanager
def booted(tree: Path, folder: Path) -> Iterator[Guest]:
    """The tree as a machine, until the block ends."""
    carried = folder / "carried"
    carried.mkdir(exist_ok=True)
    binds = [f"--bind-ro={CHECKOUT}:{INSIDE}", f"--bind-ro={folder}:{WHEELS}", f"--bind={carried}:{CARRIED}"]
    options = ["--boot", "--register=no", "--keep-unit", "--private-network", "--volatile=overlay", "--console=pipe"]
    program = shutil.which("systemd-nspawn") or sys.exit("systemd-nspawn is not installed")
    machine = subprocess.Popen(
        [program, *options, *binds, f"--directory={tree}", "--machine=harvester-trial"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        guest = _guest(machine.pid)
        yield guest
        guest.run("systemctl poweroff", is_shown=False)
        machine.wait(120)
    finally:
        machine.kill()
        machine.wait(60)


def _guest(pid: int) -> Guest:
    """The machine whose first process is a child of this one, as soon as it has booted."""
    for _ in range(240):
        time.sleep(0.25)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        if children:
            guest = Guest(int(children[0]))
            if guest.run("systemctl is-system-running", is_shown=False).strip() in ("running", "degraded"):
                return guest
    sys.exit("the machine did not boot within a minute")


def far_end(guest: Guest) -> None:
    guest.run("uname -r; systemctl --version | head -1; cat /etc/debian_version")
    guest.run(
        f"python3 -m venv /opt/fakehub && /opt/fakehub/bin/pip install -q --no-index --find-links {WHEELS} harvester h11"
    )
    guest.put("/etc/systemd/system/fakehub.service", FAKE_HUB)
    guest.put("/etc/systemd/system/harvester.service.d/trial.conf", FAR_END)


def install(guest: Guest) -> None:
    far_end(guest)
    began = time.time()
    guest.run(offline(blocks("Install")[0]))
    guest.until("a first harvest", lambda: "library/nginx" in guest.run(SQL, is_shown=False))
    guest.journal(began)
    guest.expect("the unit runs", "ActiveState=active" in guest.state())
    guest.run("systemctl status harvester.service -n 0; ls -la /var/lib/harvester; systemctl list-timers 'harvester*'")
    guest.run("systemd-analyze security --no-pager harvester.service | tail -1")
    guest.run(f"grep -E '^(Uid|Cap|NoNew|Seccomp)' /proc/{guest.main_pid()}/status")
    guest.expect("it answers on its port", "200" in guest.run(HEALTH))


def reload(guest: Guest) -> None:
    for text, what, word in (
        (BUSY, "a good file is taken over", "config.reloaded"),
        (WRONG, "a bad one is refused", "config.refused"),
    ):
        guest.put("/etc/harvester/harvester.toml", text)
        began = time.time()
        guest.run("systemctl reload harvester.service; systemctl show harvester.service -p ActiveState,StatusText")
        guest.expect(f"{what} before `systemctl reload` comes back", word in guest.journal(began))
    guest.put("/etc/harvester/harvester.toml", BUSY)


def sign_in(guest: Guest) -> None:
    began = time.time()
    block = blocks("Sign in")[0].replace("/dev/stdin", f"/dev/stdin <<< {TOKEN}")
    guest.run(re.sub(r"^editor (.*)$", r"sed -i s/your-name/anna/ \1", block, flags=re.MULTILINE))
    guest.expect("it signs in", '"login": true' in guest.journal(began))
    guest.run(f"nsenter -t {guest.main_pid()} -m ls -l /run/credentials/harvester.service")
    token = "/etc/harvester/dockerhub-token"
    guest.expect("the account cannot read the file", "denied" in guest.run(f"runuser -u harvester -- cat {token}"))
    guest.expect("the journal has no token", TOKEN not in guest.run("journalctl --no-pager -o cat", is_shown=False))
    guest.run(
        f"mv {token} {token}.aside; systemctl restart harvester.service; systemctl show harvester.service -p {STATE}"
    )
    guest.expect("without the file it does not start", "ExecMainStatus=243" in guest.state())
    guest.run(f"mv {token}.aside {token}; systemctl restart harvester.service")


def readers(guest: Guest) -> None:
    allow, read, copy = blocks("Let others read it with SQL")
    guest.run(f"useradd --create-home anna\n{allow}")
    as_anna = "cd /home/anna; runuser -u anna -- "
    guest.until("a member of the group reads", lambda: "library/nginx" in guest.run(as_anna + read, is_shown=False))
    guest.run("ls -la /var/lib/harvester")
    refused = guest.run(as_anna + "sqlite3 /var/lib/harvester/harvester.db 'DELETE FROM repositories'")
    guest.expect("and does not write", "readonly" in refused)
    guest.expect("and makes copies", "checked" in guest.run(as_anna + copy))


def watchdog(guest: Guest) -> None:
    drop_in = "/etc/systemd/system/harvester.service.d/impatient.conf"
    guest.put(drop_in, "[Service]\nWatchdogSec=20\nRestartSec=3\n")
    guest.run("systemctl daemon-reload; systemctl restart harvester.service")
    pid = guest.main_pid()
    time.sleep(45)
    guest.expect("a daemon that works is left alone", guest.main_pid() == pid)
    if pid == 0:
        return
    began = time.time()
    guest.run(f"kill -STOP {pid}")
    guest.until(
        "one that hangs is ended and started again",
        lambda: guest.main_pid() not in (0, pid) and "SubState=running" in guest.state(),
    )
    guest.expect("and the journal has where it stood", "most recent call first" in guest.journal(began))
    guest.run(f"rm {drop_in}; systemctl daemon-reload; systemctl restart harvester.service")


def stop(guest: Guest) -> None:
    hub = int(guest.run("systemctl show fakehub.service -p MainPID --value", is_shown=False))
    for what, meanwhile in (
        ("what is being asked is finished", f"kill -CONT {hub}"),
        ("a second SIGTERM hurries", "kill -TERM $(systemctl show harvester.service -p MainPID --value)"),
    ):
        guest.run("systemctl start harvester.service")
        time.sleep(5)
        began = time.time()
        # A far end that does not answer: something is being asked all the while.
        guest.run(f"kill -STOP {hub}; sleep 12; systemctl stop --no-block harvester.service")
        time.sleep(4)
        guest.run(f"systemctl show harvester.service -p {STATE}")
        guest.run(meanwhile)
        guest.until(what, lambda: "ActiveState=inactive" in guest.state() and "Result=success" in guest.state(), 10)
        guest.run(f"kill -CONT {hub}", is_shown=False)
        guest.journal(began)
    guest.run("systemctl start harvester.service")


def upkeep(guest: Guest) -> None:
    for name in ("backup", "upkeep"):
        began = time.time()
        guest.run(f"systemctl start harvester-{name}.service")
        journal = guest.journal(began)
        guest.expect(f"harvester-{name}.service ends well", "Finished" in journal and "Failed" not in journal)
    newest = "/backups/$(ls -t /var/lib/harvester/backups | head -1)"
    restore = blocks("Back up, restore")[0].replace("/backups/BACKUP", newest)
    guest.run(f"ls -la /var/lib/harvester/backups\n{ASK}{restore}")
    guest.until("the restored database is worked on", lambda: "SubState=running" in guest.state())
    guest.expect("and has what was there", "library/nginx" in guest.run(SQL))
    guest.run(ASK + offline(blocks("Upgrade")[0]))
    guest.until("the upgraded program runs", lambda: "SubState=running" in guest.state())


def pack(guest: Guest) -> None:
    # As the guide leaves it, and not this trial.
    guest.run("chgrp harvester /etc/harvester/harvester.toml; chmod 640 /etc/harvester/harvester.toml", is_shown=False)
    guest.run(blocks(MOVE)[0])
    guest.expect("the archive is for root alone", guest.run("stat -c %a:%U /srv/move.tar").endswith("600:root\n"))
    guest.run(f"cp -p /srv/move.tar {CARRIED}; {KNOWN} > {CARRIED}/known; rm /srv/move.tar")
    guest.expect("the old machine's service is down", "ActiveState=inactive" in guest.state())
    guest.run("systemctl enable --now harvester.service")


def unpack(guest: Guest) -> None:
    far_end(guest)
    # The account has another number here.
    guest.run("useradd --system somebody", is_shown=False)
    guest.run(offline(blocks("Install")[0].partition("systemctl enable")[0]))
    began = time.time()
    guest.run(f"cp -p {CARRIED}/move.tar /srv/move.tar; rm {CARRIED}/move.tar")
    before = guest.run(f"cat {CARRIED}/known", is_shown=False)
    arrive, _, doctor = blocks(MOVE)[1].partition("ask ")
    guest.run(arrive)
    guest.until(
        "the new machine goes on", lambda: "SubState=running" in guest.state() and "job.done" in guest.journal(began)
    )
    guest.expect("it signs in with the token that was carried", '"login": true' in guest.journal(began))
    found = guest.run(KNOWN, is_shown=False)
    guest.expect("all that was known is there", bool(before.strip()) and set(before.split()) <= set(found.split()))
    said = guest.run(f"set -a; . /run/fakehub.env; set +a\n{ASK}ask {doctor}ask status")
    guest.expect("the doctor warns of nothing", not re.search(r"^(error|warning)\b", said, flags=re.MULTILINE))
    guest.expect("and knows the configuration", "2 targets watched" in said)
    guest.expect("one daemon is at work", said.count("`harvester run`") == 1)
    guest.run("ls -laR /etc/harvester /var/lib/harvester")


def ends(guest: Guest) -> None:
    guest.run(f"kill -KILL {guest.main_pid()}; sleep 1; systemctl show harvester.service -p {STATE}")
    guest.until("killed, it is started again after half a minute", lambda: "SubState=running" in guest.state())
    guest.put("/etc/harvester/harvester.toml", WRONG)
    began = time.time()
    guest.run("systemctl restart harvester.service")
    guest.journal(began)
    state = guest.state()
    guest.expect(
        "with a wrong configuration it stays down", "ActiveState=failed" in state and "ExecMainStatus=2" in state
    )
    guest.run(blocks("Uninstall")[0])
    left = guest.run("find / -xdev -name '*harvester*' -not -path '/srv/*' -not -path '/opt/fakehub/*'", is_shown=False)
    say(left)
    is_data = all(line.startswith(("/var/lib/harvester", "/var/lib/systemd/timers/")) for line in left.splitlines())
    guest.expect("nothing but the data and the timers' stamps is left", is_data)


def main() -> int:
    """Boot, follow the guide, say what was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.trials.booted", description=__doc__)
    parser.add_argument("tree", type=Path, metavar="TREE")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("it boots a machine: run it as root")
    with tempfile.TemporaryDirectory() as folder:
        wheels(Path(folder))
        with booted(options.tree, Path(folder)) as guest:
            for part in (install, reload, sign_in, readers, watchdog, stop, upkeep, pack, ends):
                say(f"\n== {part.__name__.replace('_', ' ')}")
                part(guest)
                if "ActiveState=active" not in guest.state() and part is not ends:
                    guest.expect("the unit still runs", False)
                    break
            complaints = guest.complaints
        say("\n== unpack, on another machine")
        with booted(options.tree, Path(folder)) as guest:
            unpack(guest)
            complaints += guest.complaints
    say("\n" + ("\n".join(f"not as the guide says: {one}" for one in complaints) or "all as the guide says"))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
