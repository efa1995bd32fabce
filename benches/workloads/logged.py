"""The transaction of `transaction.py` by clients with a transaction log. One in a file is on the
disk before each commit is sent."""

from dataclasses import replace

from benches.workloads import transaction

WORKLOAD = transaction.WORKLOAD
IN_MEMORY = replace(
    WORKLOAD, name="transaction_logged", title=f"{WORKLOAD.title}, log in memory", log="memory"
)
IN_FILE = replace(
    WORKLOAD, name="transaction_logged_to_disk", title=f"{WORKLOAD.title}, log on disk", log="file"
)
