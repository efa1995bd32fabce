"""The workloads in the order of the table; each file is one, named as in MongoDB's
driver benchmarking specification where it has one."""

from benches.workloads import (
    bulk_write_mixed,
    compressed,
    find_many_and_empty_the_cursor,
    find_many_to_list,
    find_one_by_id,
    find_one_delayed,
    find_one_tasks,
    find_one_threads,
    over_tls,
    run_command,
    small_doc_bulk_insert,
    small_doc_insert_one,
    transaction,
)

WORKLOADS = (
    run_command.WORKLOAD,
    find_one_by_id.WORKLOAD,
    find_one_threads.WORKLOAD,
    find_one_tasks.WORKLOAD,
    find_one_delayed.WORKLOAD,
    over_tls.FIND_ONE,
    find_many_and_empty_the_cursor.TWEETS,
    find_many_to_list.TWEETS,
    over_tls.TO_LIST,
    find_many_and_empty_the_cursor.SMALL_DOCUMENTS,
    find_many_to_list.SMALL_DOCUMENTS,
    find_many_to_list.DEEP_DOCUMENTS,
    find_many_to_list.FLAT_DOCUMENTS,
    small_doc_insert_one.WORKLOAD,
    small_doc_bulk_insert.WORKLOAD,
    bulk_write_mixed.WORKLOAD,
    transaction.WORKLOAD,
    compressed.FIND_ONE_SNAPPY,
    compressed.TWEETS_SNAPPY,
    compressed.TWEETS_ZSTD,
)
