"""What may happen to interactions and tasks: a follow-up is done, a task is done, dropped or taken up again."""

from __future__ import annotations

import datetime as dt

from crm.core.command import Refused, command
from crm.models.access import User
from crm.models.communication_choices import TaskState
from crm.models.communications import Interaction, Task
from crm.models.parties import Party


def refuse_archived(party: Party | None) -> None:
    """What belongs to an archived party stays as it is."""
    if party is not None and party.archived_at is not None:
        raise Refused("the party is archived: restore it first")


@command(Interaction, "Followed up", icon="check",
         applies=lambda one: one.follow_up_required and one.follow_up_done_at is None)  # fmt: skip
def follow_up_done(interaction: Interaction, *, by: User) -> None:
    """Note that what was to follow has been done."""
    refuse_archived(interaction.party)
    if not interaction.follow_up_required:
        raise Refused("nothing was to follow")
    if interaction.follow_up_done_at is not None:
        raise Refused("it has been followed up already")
    interaction.follow_up_done_at = dt.datetime.now(dt.UTC)


@command(Task, "Done", icon="check", tone="good", applies=lambda task: task.state is TaskState.OPEN)
def complete(task: Task, *, by: User) -> None:
    """It is done."""
    _from(task, TaskState.OPEN)
    task.state, task.done_at, task.done_by_id = TaskState.DONE, dt.datetime.now(dt.UTC), by.id


@command(Task, "Cancel", icon="circle-x", applies=lambda task: task.state is TaskState.OPEN)
def cancel(task: Task, *, by: User) -> None:
    """It need not be done any more."""
    _from(task, TaskState.OPEN)
    task.state = TaskState.CANCELLED


@command(Task, "Reopen", icon="rotate-ccw", applies=lambda task: task.state is not TaskState.OPEN)
def reopen(task: Task, *, by: User) -> None:
    """It is to be done after all."""
    _from(task, TaskState.DONE, TaskState.CANCELLED)
    task.state, task.done_at, task.done_by_id = TaskState.OPEN, None, None


def _from(task: Task, *states: TaskState) -> None:
    refuse_archived(task.party)
    if task.state not in states:
        raise Refused(f"it is {task.state.label.lower()}")
