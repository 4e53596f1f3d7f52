"""Work in the background: thin functions that load by id, call a command or query and report progress."""
