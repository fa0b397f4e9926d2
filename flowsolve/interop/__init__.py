"""Networks and programs of other projects, in both directions. None is imported before it is needed."""
