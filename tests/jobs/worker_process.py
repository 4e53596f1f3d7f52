"""Run as a program: real workers (`work`) or a scheduler (`schedule`) on the servers given as JSON in DESK_OWN."""

import datetime as dt
import json
import os
import sys

from app import create_app
from crm.config import load
from crm.core import jobs as table
from crm.servers import Servers
from jobs import runner, schedule, worker
from tests.jobs import trial  # noqa: F401 - makes jobs.trial known


def main() -> int:
    given = json.loads(os.environ["DESK_OWN"])
    # The same machinery with shorter times, so that nobody waits for the real ones.
    table.STALE_AFTER = dt.timedelta(seconds=3)
    runner.BEAT_EVERY = 0.5
    schedule.TICK = 0.2
    servers = Servers(**given)
    with create_app(load({"CRM_HOME": os.environ["CRM_HOME"]}), servers).app_context():
        if sys.argv[1] == "work":
            return worker.work(int(sys.argv[2]), servers.redis_url)
        return schedule.run(duties=(schedule.Duty("ring", 0.5, schedule.ring_unattended),))


if __name__ == "__main__":
    sys.exit(main())
