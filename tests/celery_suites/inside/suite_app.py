"""The application of the external worker: what Celery's own fixtures would have made in pytest."""

from __future__ import annotations

import importlib
import json
import os
from copy import deepcopy

import celery.contrib.testing.tasks  # noqa: F401  (registers celery.ping)
from celery import Celery
from celery.contrib.testing.app import DEFAULT_TEST_CONFIG

wishes = json.loads(os.environ["SUITE_APP"])

app = Celery("celery.tests", set_as_current=False)
app.add_defaults({**deepcopy(DEFAULT_TEST_CONFIG), **wishes["config"]})
app.set_current()
app.set_default()
for module in wishes["includes"]:
    importlib.import_module(module)
for module, name in wishes["class_tasks"]:
    app.register_task(getattr(importlib.import_module(module), name)())
