"""Run as a program: the supervisor over small stand-ins for web, worker and scheduler."""

import sys
from pathlib import Path

import crm.supervisor
from crm.config import StartError
from crm.servers import Servers
from crm.supervisor import Child
from tests.homes import settings_in


def supervise(folder: Path, port: int, scheduler: str) -> int:
    if scheduler == "stubborn":
        crm.supervisor._CHILDREN_SECONDS = 1.0  # it is killed all the same, and nobody waits for it
    me = (sys.executable, "-m", "tests.standins")
    settings = settings_in(folder, port=str(port))
    children = (
        Child("web", (*me, "serve", str(port)) if scheduler != "crash" else (*me, "crash")),
        Child("worker", (*me, "work", str(folder / "notes"))),
        Child("scheduler", (*me, "sleep" if scheduler == "crash" else scheduler)),
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
