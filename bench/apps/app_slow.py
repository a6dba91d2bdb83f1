"""The bench's jobs in an application whose import takes 0.6 s."""

import app_light  # noqa: F401
import slow  # noqa: F401
