"""The bench's jobs in an application with ordinary imports."""

import app_light  # noqa: F401
import heavy  # noqa: F401
