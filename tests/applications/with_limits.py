"""limits: rate limits that are counted in MongoDB."""

import asyncio
import sys

from limits import parse, storage, strategies
from limits.aio import storage as async_storage
from limits.aio import strategies as async_strategies


def main(uri: str) -> None:
    kept = storage.storage_from_string(uri, database_name="limits")
    three, two = parse("3/hour"), parse("2/hour")

    fixed = strategies.FixedWindowRateLimiter(kept)
    hits = [fixed.hit(three, "user", "1") for _ in range(5)]
    print("fixed window", hits, fixed.get_window_stats(three, "user", "1").remaining)
    assert hits == [True, True, True, False, False]
    fixed.clear(three, "user", "1")
    print("cleared", fixed.test(three, "user", "1"))

    moving = strategies.MovingWindowRateLimiter(kept)
    hits = [moving.hit(two, "user", "2") for _ in range(4)]
    print("moving window", hits, moving.get_window_stats(two, "user", "2").remaining)
    assert hits == [True, True, False, False]

    sliding = strategies.SlidingWindowCounterRateLimiter(kept)
    # Its windows begin with the year, not with the first hit: no test meets the next one.
    hits = [sliding.hit(parse("2/year"), "user", "3") for _ in range(4)]
    print("sliding window", hits)
    assert hits == [True, True, False, False]
    print("storage", kept.check(), kept.reset())

    asyncio.run(on_motor(uri))


async def on_motor(uri: str) -> None:
    kept = async_storage.MongoDBStorage(f"async+{uri}", database_name="limits_motor")
    limiter = async_strategies.MovingWindowRateLimiter(kept)
    hits = [await limiter.hit(parse("3/hour"), "user", "1") for _ in range(5)]
    print("on Motor", hits, await kept.check(), await kept.reset())
    assert hits == [True, True, True, False, False]


if __name__ == "__main__":
    main(sys.argv[1])
