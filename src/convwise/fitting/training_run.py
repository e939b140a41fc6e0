"""One training of a run: planned once, then begun or gone on with."""

from typing import Any, NamedTuple

from torch import nn

from ..guest import code_of
from ..progress import Track, with_words
from ..training.checkpoint import Checkpoints, identity
from ..training.device import choose_device
from ..training.loop import Trained, train
from ..training.memory import Memory
from ..training.plan import Plan, make_plan
from ..training.state import Setting
from .draft import Draft
from .start import Start
from .training_data import TrainingData


class TrainingRun(NamedTuple):
    """A training of a run.

    Attributes:
        start: where it starts.
        called: for people.
        name: of its plan, and of its checkpoints, in the run.
        number: of those that are trained alike but for their seed, which have one plan.
        memory: that it takes.
    """

    start: Start
    called: str
    name: str
    number: int
    memory: Memory

    def run(
        self, data: TrainingData, num_classes: int, draft: Draft, *, device: str, threads: int, track: Track
    ) -> Trained:  # fmt: skip
        """Begin to train, or go on.

        Args:
            data: what it is given.
            num_classes: of the labels.
            draft: keeps plan and checkpoints.
            device: in the words of the option.
            threads: of torch.
            track: shows progress.

        Raises:
            DivergedError: it came to no weights.
        """
        usual = Setting(threads, device=choose_device(device))
        plan = self._plan(data, num_classes, usual, draft)
        trial = plan.trial
        setting = usual._replace(
            precision=trial.precision, channels_last=trial.channels_last, threads=trial.threads, judged=trial.judged
        )
        same = identity(data.recipe, setting, data.fingerprint, self._code(num_classes))
        folder = draft.checkpoints(self.name if self.number == 1 else f"{self.name}-member{self.number}")
        return train(
            lambda: self._build(num_classes), data.recipe, setting, data.inputs, fit=data.fit,
            choose=data.judged, track=with_words(track, f"of {self.called} ({plan.words})"),
            checkpoints=Checkpoints(folder, data.recipe, same),
        )  # fmt: skip

    def _build(self, num_classes: int) -> nn.Module:
        """The part that is trained, with the numbers that it starts from."""
        network = self.start.network(num_classes)
        self.start.begin(network)
        return self.start.trained(network)

    def _code(self, num_classes: int) -> str:
        """Hash of that of the user's layers; empty without any."""
        if self.start.rear is None:
            return ""
        return code_of(self.start.rear[0], self.start.sketched(num_classes).get_submodule("head"))

    def _plan(self, data: TrainingData, num_classes: int, usual: Setting, draft: Draft) -> Plan:
        """What it will take; measured once a run, for all its members."""
        plans: dict[str, Any] = draft.record.get("training", {})
        plan = make_plan(
            lambda: self._build(num_classes), data.recipe, data.inputs, data.fit,
            memory_bytes=self.memory.on(usual.device), usual=usual, known=plans.get(self.name),
        )  # fmt: skip
        if self.name not in plans:
            draft.note("training", plans | {self.name: plan.to_json()})
        return plan
