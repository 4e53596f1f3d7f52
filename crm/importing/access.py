"""Who may go on with an import, see how it goes, stop it, and take the rows it refused."""

from __future__ import annotations

from crm.core.entity import Face, face_named
from crm.core.jobs import Job
from crm.core.permissions import BULK_PERSONAL, Actor, Scope, accesses, allowed
from crm.models.imports import Import
from crm.queries.scope import find


def is_mine(record: Import, actor: Actor) -> bool:
    return record.asked_by_id is not None and record.asked_by_id == actor.id


def may_go_on(record: Import, face: Face, actor: Actor) -> bool:
    """The person of the import, as long as that person may import."""
    return is_mine(record, actor) and allowed(actor, f"{face.name}.import") is not None


def may_cancel(record: Import, face: Face, actor: Actor, job: Job | None) -> bool:
    """That person, and whoever may cancel this job."""
    if may_go_on(record, face, actor):
        return True
    return job is not None and find(face_named("job"), actor, str(job.id), "cancel") is not None


def may_undo(record: Import, face: Face, actor: Actor) -> bool:
    """Who may import such records: one's own imports, and those whose jobs one may cancel."""
    if record.job is None or allowed(actor, f"{face.name}.import") is None:
        return False
    return may_cancel(record, face, actor, record.job)


def may_take_refused(record: Import, face: Face, actor: Actor) -> bool:
    """That person, and whoever may read the import, take all such records away and see all their fields: the file has
    raw personal data."""
    if may_go_on(record, face, actor):
        return True
    may_all = allowed(actor, f"{face.name}.export") is Scope.ALL and allowed(actor, f"{face.name}.{BULK_PERSONAL}")
    return bool(may_all) and all(one.shows for one in accesses(actor, face).values()) and _reads(record, actor)


def may_watch(record: Import, face: Face, actor: Actor) -> bool:
    """Progress and report of a started import: whoever may do something there. A draft is its person's alone."""
    if may_go_on(record, face, actor):
        return True
    if record.job is None:
        return False
    return may_take_refused(record, face, actor) or may_cancel(record, face, actor, record.job)


def _reads(record: Import, actor: Actor) -> bool:
    return find(face_named("import"), actor, str(record.id)) is not None
