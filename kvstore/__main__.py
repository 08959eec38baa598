"""python -m kvstore"""

import sys

from kvstore.cli import main

if __name__ == "__main__":
    sys.exit(main())
