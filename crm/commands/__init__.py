"""Verbs that change something. Importing this package declares every command."""

from crm.commands import access, parties

__all__ = ["access", "parties"]
