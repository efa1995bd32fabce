"""Where PyMongo has PoolOptions, the part of a client's options that its pools go by."""

from pymongo.pool_options import PoolOptions

__all__ = ["PoolOptions"]
