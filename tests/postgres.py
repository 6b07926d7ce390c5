"""A PostgreSQL of Debian's own packages for a test: a cluster of its own on loopback, gone afterwards."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres() -> Iterator[dict[str, str]]:
    """Start one; yields the variables by which Label Studio finds its empty database."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    assert programs, "install PostgreSQL: `make postgres`"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="goldleaf-postgres-") as name:
        folder, as_user = Path(name), list[str]()
        if os.geteuid() == 0:
            # It refuses to run as root.
            as_user = ["runuser", "-u", "postgres", "--"]
            shutil.chown(folder, "postgres")

        def run(program: str, *arguments: str) -> None:
            subprocess.run([*as_user, str(programs / program), *arguments], cwd="/", check=True, capture_output=True)

        data = str(folder / "cluster")
        run("initdb", "-D", data, "-A", "trust", "-U", "studio", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        subprocess.run(
            [*as_user, str(programs / "pg_ctl"), "-D", data, "-l", str(folder / "log"), "-w", "-o", options, "start"],
            cwd="/", check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "studio", "studio")
            yield {
                "DJANGO_DB": "default",
                "POSTGRE_NAME": "studio",
                "POSTGRE_USER": "studio",
                "POSTGRE_PASSWORD": "",
                "POSTGRE_HOST": "127.0.0.1",
                "POSTGRE_PORT": str(port),
            }
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
