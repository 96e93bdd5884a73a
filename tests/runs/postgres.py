"""A private PostgreSQL server for the tests: started, used, thrown away.

It needs the programs of Debian's package: ``apt-get install postgresql``. It listens on no network
port, only on a socket in its own folder. By hand: ``python tests/runs/postgres.py`` prints the URL
of a server that lives until Enter is pressed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWNER = "postgres"


def programs() -> Path | None:
    """The folder of the newest server that is installed; None without one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    return found[-1].parent if found else None


def _version(path: Path) -> float:
    return float(path.parts[-3])


@contextmanager
def server() -> Iterator[str]:
    """A running server; yields its URL without a database's name: ``url.format(name=…)``."""
    bin_folder = programs()
    assert bin_folder is not None
    home = Path(tempfile.mkdtemp(prefix="limner-pg-", dir="/tmp"))  # a socket's path must be short
    data = home / "data"
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(home, OWNER)
    try:
        _run(bin_folder / "initdb", "-D", data, "-U", OWNER, "--auth=trust", "-E", "UTF8", "-N")
        settings = f"-k {home} -c listen_addresses='' -c fsync=off"
        log = home / "log"
        _run(
            bin_folder / "pg_ctl", "-D", data, "-o", settings, "-l", log, "-w", "-t", "120", "start"
        )
        try:
            yield f"postgresql://{OWNER}@/{{name}}?host={home}"
        finally:
            _run(bin_folder / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _run(*words: object) -> None:
    command = [str(word) for word in words]
    if os.geteuid() == 0:
        command = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups", *command]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    with server() as url:
        input(f"{url.format(name='postgres')}\nEnter stops it. ")
