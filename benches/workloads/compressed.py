"""Reading over connections that compress: what that costs beside the plain rows.

PyMongo needs further packages for snappy and zstd (the group `peers` of pyproject.toml has them);
a peer without them would be measured uncompressed.
"""

from dataclasses import replace

from benches.workloads import find_many_to_list, find_one_by_id


def compressed(workload, compressor):
    return replace(
        workload,
        name=f"{workload.name}_{compressor}",
        title=f"{workload.title}, {compressor}",
        uri_options={"compressors": compressor},
    )


FIND_ONE_SNAPPY = compressed(find_one_by_id.WORKLOAD, "snappy")
TWEETS_SNAPPY = compressed(find_many_to_list.TWEETS, "snappy")
TWEETS_ZSTD = compressed(find_many_to_list.TWEETS, "zstd")
