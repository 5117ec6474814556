"""How far a run is, and how long it still takes: training by what it has taken so far, and the rest
by what a time limit would reserve for it.

A learner's share of its training is counted, not its steps, since learners of several kinds have
steps and rounds of several costs. The seconds of a share are measured for each kind of learner
while some of that kind are in training, so stacks and several trainers are in them. Learners that
stop early say where others of their kind will.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass
class _Kind:
    """Learners of one kind.

    Attributes:
        shares: of the training of each, from 0 to 1, as steps say; by learner.
        active: those that have begun and not ended.
        ended: those that have ended, in any way.
        seconds: for which some of them were in training.
    """

    shares: dict[int, float] = field(default_factory=dict)
    active: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    seconds: float = 0.0

    @property
    def done(self) -> float:
        return sum(self.shares.values())

    @property
    def left(self) -> float:
        """Shares that are left, if the open learners end where the others have."""
        usual = [self.shares[one] for one in self.ended if self.shares[one] > 0]
        end = sum(usual) / len(usual) if usual else 1.0
        opened = (share for one, share in self.shares.items() if one not in self.ended)
        return sum(max(0.0, end - share) for share in opened)


class Forecast:
    """The time that a run has left.

    Attributes:
        ending_s: what comes after training takes, as far as that is known.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin now; `clock` returns seconds."""
        self.ending_s = 0.0
        self._clock = clock
        self._began = self._seen = clock()
        self._kinds: dict[str, _Kind] = {}
        self._kind_of: dict[int, str] = {}
        self._after_from: float | None = None
        self._shown = 0.0
        self._latest = math.inf

    def begin(self, kinds: Mapping[int, str]) -> None:
        """Training of learners begins, or goes on; `kinds` says of which kind each is."""
        self._seen, self._after_from = self._clock(), None
        for learner, kind in kinds.items():
            if learner in self._kinds.get(kind, _Kind()).ended:  # it is trained once more
                kind = f"{kind} again"
            self._kind_of[learner] = kind
            self._kinds.setdefault(kind, _Kind()).shares.setdefault(learner, 0.0)

    def advance(self, learner: int, step: int, total: int, ended: bool = False) -> None:
        """A learner has taken `step` of `total` steps, at most, or has ended with them."""
        self._pass()
        kind = self._kinds[self._kind_of[learner]]
        kind.shares[learner] = max(kind.shares[learner], step / max(1, total))
        kind.active.add(learner)
        if ended:
            kind.active.discard(learner)
            kind.ended.add(learner)

    def expect(self, ending_s: float, most_s: float) -> None:
        """Take what comes after training, and the seconds to the time limit, which end it all."""
        self.ending_s, self._latest = ending_s, self._clock() + most_s

    def end_training(self) -> None:
        """All training has ended; the rest takes `ending_s` from now on."""
        if self._after_from is None:
            self._after_from = self._clock()

    @property
    def left_s(self) -> float | None:
        """Seconds left; None while nothing is known of training."""
        if self._after_from is not None:
            return max(0.0, self.ending_s - (self._clock() - self._after_from))
        self._pass()
        rates = {
            name: kind.seconds / kind.done for name, kind in self._kinds.items() if kind.done > 0
        }
        if not rates:
            return None
        usual = sum(rates.values()) / len(rates)
        left = sum(rates.get(name, usual) * kind.left for name, kind in self._kinds.items())
        return max(0.0, min(left + self.ending_s, self._latest - self._clock()))

    @property
    def share(self) -> float:
        """The share of the run that is done, by time; it never falls."""
        left = self.left_s
        if left is not None:
            passed = self._clock() - self._began
            self._shown = max(self._shown, passed / max(passed + left, 1e-9))
        return self._shown

    def _pass(self) -> None:
        """Count the time since the last look for the kinds that are in training."""
        now = self._clock()
        active = [kind for kind in self._kinds.values() if kind.active]
        for kind in active:
            kind.seconds += (now - self._seen) / len(active)
        self._seen = now
