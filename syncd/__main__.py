"""`python -m syncd`: the command line, for machines whose path does not hold the `syncd` script."""

from syncd.cli import main

raise SystemExit(main())
