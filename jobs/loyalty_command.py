"""`flask loyalty expire`: write off points whose day is over, or tell how many would be, now or in the next days."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import click

from crm.commands.loyalty_upkeep import due_to_expire, expire_all
from crm.core.transaction import run_in_transaction


def loyalty_commands(group: type[click.Group], desk: Callable[[], AbstractContextManager[Any]]) -> click.Group:
    """The commands, each done inside `desk()`."""

    @click.group("loyalty", cls=group)
    def loyalty() -> None:
        """Points of members."""

    @loyalty.command("expire")
    @click.option("--dry-run", is_flag=True, help="Only tell what would be written off")
    @click.option("--ahead", type=click.IntRange(1, 3650), default=None, metavar="DAYS",
                  help="Tell what expires in the next days; writes nothing")  # fmt: skip
    @click.option("--json", "as_json", is_flag=True)
    def expire(dry_run: bool, ahead: int | None, as_json: bool) -> None:
        """Write off points whose day is over, in all programs; the scheduler does the same every night."""
        with desk():
            due = run_in_transaction(lambda: due_to_expire(days_ahead=ahead or 0))
            written_off = 0 if dry_run or ahead else expire_all()
        word = f"expire in the next {ahead} days" if ahead else "would be written off" if dry_run else "were due"
        lines = [f"{one['name']}: {one['points']:,} points of {one['members']:,} members {word}" for one in due]
        lines = lines or [f"No points {'expire in that time' if ahead else 'are due'}."]
        if not (dry_run or ahead):
            lines.append(f"{written_off:,} points were written off.")
        told = {"due": due, "written_off": written_off}
        click.echo(json.dumps(told, default=str) if as_json else "\n".join(lines))

    return loyalty
