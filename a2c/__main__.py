"""`python -m a2c`."""

import sys

from a2c.cli import main

sys.exit(main())
