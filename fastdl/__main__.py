"""`python -m fastdl`."""

import sys

from .cli import main

sys.exit(main())
