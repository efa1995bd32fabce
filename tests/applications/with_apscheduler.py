"""APScheduler: jobs that are kept in MongoDB and found again by another scheduler."""

import sys
import threading
from datetime import UTC, datetime, timedelta

from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from apscheduler.jobstores.mongodb import MongoDBJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from pymongo import MongoClient

ran = threading.Semaphore(0)
FUTURE = datetime.now(UTC) + timedelta(days=30)


def work(number):
    ran.release(number)


def scheduler(client: MongoClient) -> BackgroundScheduler:
    stores = {"default": MongoDBJobStore(database="apscheduler", client=client)}
    return BackgroundScheduler(jobstores=stores, timezone=UTC)


def main(uri: str) -> None:
    with MongoClient(uri) as client:
        first = scheduler(client)
        first.start()
        for number in range(3):
            first.add_job(
                work, "date", [1], id=f"later {number}", run_date=FUTURE + timedelta(number)
            )
        first.add_job(work, "date", [2], id="now")
        print("ran", [ran.acquire(timeout=60) for _ in range(2)])
        try:
            first.add_job(work, "date", [1], id="later 1", run_date=FUTURE)
        except ConflictingIdError as error:
            print(error)
        first.pause_job("later 0")
        first.modify_job("later 1", name="renamed")
        first.shutdown()

    with MongoClient(uri) as client:
        jobs = client.apscheduler.jobs
        print(jobs.count_documents({}), sorted(jobs.index_information()))
        second = scheduler(client)
        second.start(paused=True)
        found = [(job.id, job.name, job.next_run_time is None) for job in second.get_jobs()]
        print(found)
        assert [name for name, *_ in found] == ["later 1", "later 2", "later 0"]
        second.remove_job("later 2")
        try:
            second.remove_job("later 2")
        except JobLookupError as error:
            print(error)
        second.remove_all_jobs()
        print(second.get_jobs())
        second.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
