"""The screens: one view makes them for any entity; a file of its own only where a domain needs more."""
