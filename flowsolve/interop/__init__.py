"""Networks and programs of other projects, in both directions, one module each."""
