"""Python objects that stay: a persistent object store on libpmemobj."""

from pmemobj.errors import *  # noqa: F403
from pmemobj.pool import MIN_POOL_SIZE, PersistentObjectPool, create, open
