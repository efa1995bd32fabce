"""Other workloads by clients with a listener of commands that does nothing."""

from dataclasses import replace

from benches.workloads import (
    find_many_and_empty_the_cursor,
    find_one_by_id,
    find_one_tasks,
    small_doc_bulk_insert,
)


def listened(workload):
    name, title = f"{workload.name}_listened", f"{workload.title}, with a listener"
    return replace(workload, name=name, title=title, listened=True, peak_memory=False)


FIND_ONE = listened(find_one_by_id.WORKLOAD)
FIFTY_TASKS = listened(find_one_tasks.FIFTY)
ITERATE = listened(find_many_and_empty_the_cursor.TWEETS)
BULK_INSERT = listened(small_doc_bulk_insert.WORKLOAD)
