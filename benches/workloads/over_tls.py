"""Two other workloads over TLS: what encryption leaves of their ratios."""

from dataclasses import replace

from benches.workloads import find_many_to_list, find_one_by_id

FIND_ONE = replace(
    find_one_by_id.WORKLOAD,
    name="find_one_tls",
    title="find_one by _id, tweet, TLS",
    tls=True,
)

TO_LIST = replace(
    find_many_to_list.TWEETS,
    name="find_many_to_list_tls",
    title="find 10,000 tweets, to_list, TLS",
    tls=True,
)
