"""The same find_one over a network that takes 1 ms: what is left of the ratio there."""

from dataclasses import replace

from benches.workloads import find_one_by_id

WORKLOAD = replace(
    find_one_by_id.WORKLOAD,
    name="find_one_1ms_delay",
    title="find_one by _id, tweet, 1 ms network",
    operations=200,
    delay=0.001,
)
