"""What differs from one Prefect to the next, where tests have to know."""

import prefect
from packaging.version import Version

SINCE_PREFECT_3_9 = Version(prefect.__version__) >= Version("3.9")
