"""python -m flowsolve: the command line."""

from flowsolve.cli import main

raise SystemExit(main())
