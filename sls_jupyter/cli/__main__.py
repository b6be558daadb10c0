"""``python -m sls_jupyter.cli``."""

import sys

from sls_jupyter.cli import main

sys.exit(main())
