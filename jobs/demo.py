"""Demo data in parts, for the home page and the command line."""

from __future__ import annotations

from collections.abc import Iterator

from crm.commands.demo import all_records, has_demo, load_part, load_story_of_demo, load_what_follows
from crm.commands.demo_catalogue import load_catalogue
from crm.core.command import Refused
from crm.core.jobs import Job, Step

FIRST_PART = 500  # small, so that a person sees at once that something happens
PART = 5_000


def load(job: Job) -> Iterator[Step]:
    """Make what `crm.commands.demo` asked for."""
    customers, seed = job.args["customers"], job.args["seed"]
    done, total = job.checkpoint.get("done", 0), all_records(customers)
    if done == 0 and has_demo():
        raise Refused("demo data is there already")
    load_catalogue()
    while done < total:
        last = min(total, done + (PART if done else FIRST_PART))
        if done == 0:
            load_story_of_demo()
        load_part(done + 1, last, customers=customers, seed=seed)
        done = last
        yield Step(done=done, total=total, checkpoint={"done": done}, result={"customers": min(done, customers)})
    load_what_follows()
    yield Step(done=done, total=total)
