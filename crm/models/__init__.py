"""What there is. Importing this package declares every entity; a new domain is one more line here."""

from crm.core import jobs
from crm.models import (
    access,
    imports,
    parties,
    party_documents,
    party_faces,
    party_identifiers,
    party_notes,
    party_preferences,
    party_relations,
    party_status,
)

__all__ = [
    "access",
    "imports",
    "jobs",
    "parties",
    "party_documents",
    "party_faces",
    "party_identifiers",
    "party_notes",
    "party_preferences",
    "party_relations",
    "party_status",
]
