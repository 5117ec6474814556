"""The sink of a run: writes all results into the run directory, and journals them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ensemble_pipe.core.documents import read_json
from ensemble_pipe.core.storage import SPLITS, Manifest, RunPaths, read_manifest
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.ensemble.aggregator import Aggregator
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.ensemble.combining import Combined
from ensemble_pipe.ensemble.members import Member
from ensemble_pipe.ensemble.prediction import Metrics
from ensemble_pipe.report.pictures import draw_pictures
from ensemble_pipe.run.checkpoint_writer import CheckpointWriter
from ensemble_pipe.run.results import SessionResult
from ensemble_pipe.run.time_limit import NO_LIMIT, TimeLimit
from ensemble_pipe.serving.artifact import write_artifact
from ensemble_pipe.serving.predictions import write_predictions
from ensemble_pipe.tracking import kinds
from ensemble_pipe.tracking.journal import Journal, costs
from ensemble_pipe.tracking.refitted import RefittedEntry
from ensemble_pipe.training.checkpoints import FittedFile, save_checkpoint, save_estimator
from ensemble_pipe.training.events import Checkpoint, EstimatorFitted


class RunSink:
    """Writes checkpoints, predictions, pictures and the model; journals all that happens.

    Attributes:
        parts: all that are held out; in folds "validation" is the training part, out of fold.
    """

    def __init__(
        self,
        paths: RunPaths,
        journal: Journal,
        timeline: Timeline,
        *,
        folds: bool = False,
        by_time: bool = False,
        draw_sheet: Callable[[], Path] | None = None,
        limit: TimeLimit = NO_LIMIT,
    ) -> None:
        """Begin with what the run directory holds.

        Args:
            paths: of the run.
            journal: of the run, open.
            timeline: where the stages of the run are recorded.
            folds: whether learners leave out folds of the training part, in place of other parts.
            by_time: whether members are selected by the time that they take. That is measured
                once: a run that goes on selects by what its journal says of an earlier session.
            draw_sheet: draws the contact sheet of augmented rows; None where there are none.
            limit: of the run, which may leave pictures out.
        """
        self.parts: tuple[str, ...] = ("validation", "test") if folds else SPLITS[1:]
        self._held_part = "train" if folds else "validation"
        self._run_id = read_manifest(paths).run_id
        self._paths = paths
        self._journal = journal
        self._timeline = timeline
        self._by_time = by_time
        self._draw_sheet = draw_sheet
        self._writers = {
            refit: CheckpointWriter(partial(self._save, self._paths_of(refit)))
            for refit in (False, True)
        }
        self._limit = limit
        self._costs = costs(paths.journal) if by_time else {}

    def draw_augmentation(self) -> None:
        """Draw the contact sheet, unless that is done already."""
        if self._draw_sheet is not None:
            self._journal.append(kinds.PicturesEntry([self._draw_sheet().name]))
            self._draw_sheet = None

    def known_cost(self, member: Member) -> float | None:
        return self._costs.get((member.learner, member.number))

    def add_member(self, member: Member, metrics: Metrics, cost_ms: float) -> None:
        place = member.learner, member.number
        if self._by_time and place not in self._costs:
            self._costs[place] = cost_ms
            self._journal.append(kinds.CostEntry(*place, cost_ms))
        self._journal.append(kinds.MemberEntry(*place, member.step, metrics))

    def update_ensemble(self, aggregator: Aggregator) -> None:
        members, metrics = len(aggregator.members), aggregator.ensemble_metrics()
        self._journal.append(kinds.EnsembleEntry(members, metrics))

    def save_checkpoint(self, checkpoint: Checkpoint, *, refit: bool = False) -> None:
        if checkpoint.metrics and not refit:
            self._journal.append(
                kinds.EpochEntry(
                    checkpoint.learner,
                    checkpoint.epoch,
                    checkpoint.step,
                    checkpoint.metrics,
                    waited_s=round(checkpoint.waited_s, 3),
                )
            )
        self._writers[refit].write(checkpoint)

    def _save(self, paths: RunPaths, checkpoint: Checkpoint) -> None:
        self._journal.sync()  # a checkpoint never stands there without what led to it
        save_checkpoint(paths, checkpoint, self._run_id)

    def flush(self) -> None:
        """Wait until all checkpoints are on disk."""
        for writer in self._writers.values():
            writer.wait_for_all()

    def save_estimator(self, estimator: EstimatorFitted, *, refit: bool = False) -> None:
        fitted = FittedFile(estimator.suffix, estimator.content)
        save_estimator(self._paths_of(refit), estimator.learner, fitted, self._run_id)

    def finish_learner(self, learner: int) -> None:
        self._writers[False].wait(learner)
        self._journal.append(kinds.FinishedEntry(learner))

    def end_refit(self, entry: RefittedEntry) -> None:
        self._writers[True].wait(entry.learner)
        self._journal.append(entry)

    def fail(self, learner: int, reason: str) -> None:
        self._journal.append(kinds.FailedEntry(learner, reason))

    def spare(self, learner: int, reason: str) -> None:
        self._journal.append(kinds.SparedEntry(learner, reason))

    def prune(self, learner: int, reason: str) -> None:
        self._journal.append(kinds.PrunedEntry(learner, reason))

    def end_trial(self, trial: kinds.TrialEntry) -> None:
        self._journal.append(trial)

    def save_combination(self, combined: Combined) -> None:
        self._journal.append(kinds.CombinedEntry.of(combined))

    def save_result(self, result: SessionResult, aggregator: Aggregator) -> None:
        with self._timeline.stage("model"):
            self._write_predictions(result)
            self._journal_result(result, len(aggregator.members))
            if result.importance is not None:
                self._journal.append(kinds.ImportanceEntry.of(result.importance))
            write_artifact(self._paths.model, result.model)
            sums = read_json(self._paths.model / "manifest.json", Manifest).sums
        # Before the pictures, so that MLflow receives the model while these are drawn.
        self._journal.append(kinds.ModelEntry(sums))
        with self._timeline.stage("pictures"):
            self.draw_augmentation()
            pictures = draw_pictures(self._paths, self._limit.allows_picture)
        self._journal.append(kinds.PicturesEntry([path.name for path in pictures]))

    def _paths_of(self, refit: bool) -> RunPaths:
        return self._paths.refitted if refit else self._paths

    def _write_predictions(self, result: SessionResult) -> None:
        paths = self._paths
        for part, measured in result.measured.items():
            base = paths.part(self._held_part if part == "validation" else part)
            write_predictions(paths.predictions(part), base, measured)
        if result.out_of_fold is not None:
            path, rows = paths.predictions("out_of_fold"), paths.part("train")
            write_predictions(path, rows, result.out_of_fold)

    def _journal_result(self, result: SessionResult, members: int) -> None:
        """Journal the metrics of the ensemble, which is of some or all of the `members`."""
        own = result.measured["test"].members
        for member, metrics in zip(result.model.members, own, strict=True):
            on_test = {f"test/{name}": value for name, value in metrics.items()}
            self._journal.append(kinds.MemberTestEntry(member.learner, member.number, on_test))
        self._journal.append(
            kinds.ResultEntry(
                result.metrics,
                members=len(result.model.members),
                equal=result.model.combiner == Weighted.equal(members),
                unfinished=list(result.unfinished),
                under_way=list(result.under_way),
                not_refitted=list(result.not_refitted),
                limit_s=result.limit_s,
                unmeasured=list(result.unmeasured),
                further=list(result.further),
            )
        )
