"""Connects to $PEER when it is imported, which makes forking it unsafe."""

import os
import socket

import suite  # noqa: F401  (for its tasks)

connection = socket.socket(socket.AF_UNIX)
connection.connect(os.environ["PEER"])
