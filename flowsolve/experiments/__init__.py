"""The experiments of the DDIM paper, and others like them: each a list of tasks that gives rows."""
