"""python -m flowsolve: the command line."""

from flowsolve.cli.parser import main

raise SystemExit(main())
