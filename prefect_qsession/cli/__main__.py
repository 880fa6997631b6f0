"""`python -m prefect_qsession.cli` is the `qsession` command."""

import sys

from prefect_qsession.cli import main

if __name__ == "__main__":
    sys.exit(main())
