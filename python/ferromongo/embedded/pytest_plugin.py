"""The former place of the pytest plugin, for `-p` and `pytest_plugins` that name it.

pytest finds the plugin, `ferromongo_pytest`, by itself.
"""

from ferromongo_pytest import mongodb_database_name, mongodb_replica_set, mongodb_uri

__all__ = ["mongodb_database_name", "mongodb_replica_set", "mongodb_uri"]
