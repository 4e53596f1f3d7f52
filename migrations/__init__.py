"""Numbered revisions of the database, and what is installed from the declarations after each upgrade."""
