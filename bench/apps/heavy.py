"""An application with the imports of an ordinary web project: Django with its ORM, Celery, NumPy."""

import celery
import django
import numpy
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

queue = celery.Celery("bench", broker="redis://127.0.0.1:1/0", set_as_current=False)
queue.finalize()

table = numpy.arange(1000)
