"""What the entry points of the group `kombu.serializers` name: the arguments of kombu's register().

kombu imports this while it is being imported itself.
"""

from __future__ import annotations

from importlib import import_module

from supervise.claim._serializer import CLAIM_JSON, CLAIM_PICKLE

# kombu takes every serializer that comes by an entry point for a secure one.
import_module("kombu.serialization").registry.disable(CLAIM_PICKLE.content_type)

JSON = (CLAIM_JSON.encode, CLAIM_JSON.decode, CLAIM_JSON.content_type, CLAIM_JSON.content_encoding)
PICKLE = (CLAIM_PICKLE.encode, CLAIM_PICKLE.decode, CLAIM_PICKLE.content_type, CLAIM_PICKLE.content_encoding)
