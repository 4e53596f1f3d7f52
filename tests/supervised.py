"""Run as a program: the supervisor over small stand-ins for web, worker and scheduler."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import crm.supervisor
from crm.config import StartError
from crm.servers import Servers
from crm.supervisor import Child
from tests import standins
from tests.homes import settings_in


def child(name: str, *line: str) -> Child:
    return Child(name, (sys.executable, "-m", "tests.standins", *line), partial(standins.main, *line))


def supervise(folder: Path, port: int, scheduler: str) -> int:
    if scheduler == "stubborn":
        crm.supervisor._CHILDREN_SECONDS = 1.0  # it is killed all the same, and nobody waits for it
    settings = settings_in(folder, port=str(port))
    children = (
        child("web", *(("crash",) if scheduler == "crash" else ("serve", str(port)))),
        replace(child("worker", "work", str(folder / "notes")), main=None),  # as where no copy can be made
        child("scheduler", "sleep" if scheduler == "crash" else scheduler),
    )

    def prepare(servers: Servers) -> None:
        print(f"prepared {servers.superuser_url is not None}", flush=True)

    try:
        return crm.supervisor.run(
            settings,
            prepare=prepare,
            ready_message=lambda: ["administrator: anna@example.com"],
            children=children,
            durable=False,
        )
    except StartError as error:
        print(f"Error: {error}", flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
