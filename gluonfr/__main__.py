from __future__ import annotations

import sys

from gluonfr.cli import main

sys.exit(main())
