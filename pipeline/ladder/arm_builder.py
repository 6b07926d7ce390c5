"""Makes the arms that a dataset.yaml lists."""

from pipeline.finetuning.evaluate import EvalQuestion
from pipeline.finetuning.exam import Exam, Questions
from pipeline.finetuning.examples import Example, draw
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.ladder.adapter_and_linear import AdapterAndLinear
from pipeline.ladder.arm import Arm, CannotAnswer
from pipeline.ladder.classical import Linear, Majority, Nearest, held_out_questions
from pipeline.ladder.endpoints import Endpoint
from pipeline.ladder.kept_measures import KeptMeasures
from pipeline.ladder.language_models import Adapter, Candidate, FewShot, ZeroShot
from pipeline.ladder.learning_curve import SHARES, AllLearned, Learned
from pipeline.ladder.plan import Plan
from pipeline.ladder.retrieval import Memory
from schemas.arms_section import Arm as ArmSection
from schemas.arms_section import ArmName, EndpointArm, Family, LocalArm, StatedArm
from schemas.task import Task


class ArmBuilder:
    """Makes the arms that a dataset.yaml lists."""

    def __init__(self, plan: Plan, task: type[Task], examples: list[Example], base: LoadedModel, exam: Exam) -> None:
        self._plan, self._task, self._examples = plan, task, examples
        self._base = Candidate(base, exam, plan.config)
        self._known: Memory | None = None

    @property
    def _memory(self) -> Memory:
        self._known = self._known or Memory(self._task, self._examples)
        return self._known

    def untrained(self, section: ArmSection) -> Arm | None:
        """One that needs no adapter; None for those that do."""
        if isinstance(section, StatedArm):
            return None
        if isinstance(section, EndpointArm):
            return Endpoint(section, self._task, self._memory, self._plan.access)
        match section.arm:
            case ArmName.MAJORITY:
                return Majority(self._task, self._examples)
            case ArmName.LINEAR:
                return Linear(self._task, self._memory, self._held_out(), self._plan.config.seed)
            case ArmName.NEAREST:
                return Nearest(self._task, self._memory, self._held_out())
            case ArmName.ZERO_SHOT:
                return ZeroShot(self._base)
            case ArmName.FEW_SHOT:
                return FewShot(self._base, self._memory, section.examples)
            case ArmName.ADAPTER | ArmName.ADAPTER_LINEAR | ArmName.ADAPTER_FREE:
                return None

    def _held_out(self) -> list[EvalQuestion]:
        return held_out_questions(self._plan.version, self._task)

    def tuned(self, section: ArmSection, candidate: Candidate) -> Arm | None:
        """One that asks the adapter; None for all others."""
        if not isinstance(section, LocalArm) or section.arm.family is not Family.TUNED:
            return None
        if section.arm is ArmName.ADAPTER_LINEAR:
            return AdapterAndLinear(candidate, self._task, self._memory, self._plan.config.seed)
        return Adapter(candidate, is_free=section.arm is ArmName.ADAPTER_FREE)

    def linear_learned(self, asked: Questions, measured: KeptMeasures) -> tuple[Learned, ...]:
        """What the linear model answers after fewer rows, where it is an arm; none where it has no answer.

        It takes milliseconds, so that it can be asked all questions, as the arm itself is.
        """
        if all(one.name != ArmName.LINEAR.value for one in self._plan.arms):
            return ()
        depends_on = (self._plan.answers_key(ArmName.LINEAR.value), *(one.id for one in asked.asked))
        return measured.once("linear-curve", depends_on, AllLearned, lambda: self._linear_learned(asked)).arms

    def _linear_learned(self, asked: Questions) -> AllLearned:
        seed, points = self._plan.config.seed, []
        kept = draw(self._examples, None, seed, stratum=lambda row: row.answer)
        # As the arm itself: else its last point were another model's.
        held_out = self._held_out()
        for share in SHARES:
            some = kept[: max(1, round(share * len(kept)))]
            arm = Linear(self._task, Memory(self._task, some), held_out, seed)
            try:
                arm.learn()
                answers = arm.answer(asked, lambda units: None)
            except CannotAnswer:
                return AllLearned(arms=())
            points.append((len(some), answers.scored(self._task, asked)))
        return AllLearned(arms=(Learned.of(ArmName.LINEAR.value, arm.title, points),))
