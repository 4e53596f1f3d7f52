"""Verbs that change something. Importing this package declares every command."""

from crm.commands import access, parties, party_documents, party_notes, party_relations, roles

__all__ = ["access", "parties", "party_documents", "party_notes", "party_relations", "roles"]
