"""The fault campaign: whatever dies, a run ends with the undisturbed run's result, or says why not.

Every case is one fault. Its result is kept as soon as it is known, in results/faults.json, and no
case that is there is run again, so the campaign may be stopped at any time. A case holds where all
final weights, optimizer states and predictions have the bits of the undisturbed run (W=), or where
a message says what is missing and `resume` brings these bits. Run as

    python benchmarks/faults.py [--only ROW] [--small] [--again]

It needs strace, and the right to mount a small file system (Linux, as root).
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import fault_disks
import fault_drivers
import fault_endings
import fault_mlflow
import fault_ray
import fault_trainers
import fault_writes
from fault_cases import RESULTS, Campaign, Case

# The cases of a row, in a folder of its own; a small campaign has few of each kind.
ROWS: dict[str, Callable[[Path, bool], Iterator[Case]]] = {
    "a trainer killed at each step": fault_trainers.killed_at_each_step,
    "a trainer killed twenty times in a run": fault_trainers.killed_twenty_times,
    "a trainer stopped beyond its heartbeat": fault_trainers.stopped,
    "the driver killed at random moments": fault_drivers.killed,
    "the driver killed while it trains on Ray": fault_ray.driver_killed,
    "the shard service killed": fault_trainers.shard_service_killed,
    "the raylet killed": partial(fault_ray.process_killed, "raylet/raylet"),
    "the GCS killed": partial(fault_ray.process_killed, "gcs/gcs_server"),
    "calls between Ray's processes fail, 10%": partial(fault_ray.calls_fail, 10),
    "calls between Ray's processes fail, 25%": partial(fault_ray.calls_fail, 25),
    "killed while a checkpoint is written": partial(fault_writes.killed, "checkpoint"),
    "killed while the journal is written": partial(fault_writes.killed, "journal"),
    "killed while a model is written": partial(fault_writes.killed, "model"),
    "killed while a report is written": partial(fault_writes.killed, "report"),
    "the disk is full": fault_disks.full,
    "MLflow's server down, hanging, or older": fault_mlflow.outages,
    "six endings of a run, in MLflow": fault_endings.endings,
    "eight starts at once on a fresh store": fault_endings.eight_starts,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="ROW", help="rows whose name has this")
    parser.add_argument("--small", action="store_true", help="few cases of each row")
    parser.add_argument("--again", action="store_true", help="run cases that did not hold again")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results are kept")
    options = parser.parse_args()
    campaign = Campaign(options.results, options.again)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        for number, (row, cases_of) in enumerate(ROWS.items()):
            if not options.only or any(part in row for part in options.only):
                (own := Path(folder) / str(number)).mkdir()
                campaign.run(row, cases_of(own, options.small))
    print(campaign.table())
    if options.results == RESULTS:
        campaign.show()
    raise SystemExit(0 if campaign.all_held else 1)


if __name__ == "__main__":
    main()
