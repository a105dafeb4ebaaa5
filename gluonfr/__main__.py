import sys

from gluonfr.cli import main

sys.exit(main())
