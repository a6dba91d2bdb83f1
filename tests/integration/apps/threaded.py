"""Starts a thread when it is imported, which makes forking it unsafe."""

import threading

import suite  # noqa: F401  (for its tasks)

threading.Thread(target=threading.Event().wait, name="refresher", daemon=True).start()
