"""sacred: an experiment that is kept in MongoDB by its observer."""

import logging
import sys
import tempfile
from pathlib import Path

from pymongo import MongoClient
from sacred import SETTINGS, Experiment
from sacred.observers import MongoObserver

SETTINGS.CAPTURE_MODE = "no"
SETTINGS.DISCOVER_SOURCES = "none"
SETTINGS.DISCOVER_DEPENDENCIES = "none"
SETTINGS.HOST_INFO.INCLUDE_GPU_INFO = False
experiment = Experiment("training", save_git_info=False)
experiment.add_config(rate=0.1, fail=False)
experiment.logger = logging.getLogger("quiet")
experiment.logger.setLevel(logging.CRITICAL)


@experiment.main
def train(_run, rate, fail):
    for step in range(5):
        _run.log_scalar("loss", rate / (step + 1), step)
    _run.info["done"] = True
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.txt"
        weights.write_text("1 2 3")
        _run.add_artifact(weights, content_type="text/plain")
    if fail:
        raise RuntimeError("diverged")
    return 5


def main(uri: str) -> None:
    with MongoClient(uri) as client:
        experiment.observers.append(MongoObserver(client=client, db_name="sacred"))
        experiment.run(config_updates={"rate": 0.5})
        try:
            experiment.run(config_updates={"fail": True})
        except RuntimeError as error:
            print("failed:", error)
        runs = list(client.sacred.runs.find(sort=[("_id", 1)]))
        for run in runs:
            artifacts = [artifact["name"] for artifact in run["artifacts"]]
            print(
                run["_id"],
                run["status"],
                run["config"]["rate"],
                run["result"],
                artifacts,
                run["info"]["done"],
            )
        assert [run["status"] for run in runs] == ["COMPLETED", "FAILED"]
        print([metric["values"] for metric in client.sacred.metrics.find({"run_id": 1})])
        print(
            client.sacred.fs.files.count_documents({}),
            sorted(client.sacred.runs.index_information()),
        )


if __name__ == "__main__":
    main(sys.argv[1])
