"""What a model forgets is told on texts and questions that are sound, and only a model that is worse loses."""

import contextlib
import math
from collections.abc import Callable, Iterator

import pytest
import torch

from pipeline.evaluation.estimates import Unit
from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.model_sources import BUNDLED
from pipeline.ladder import forgetting
from pipeline.ladder.forgetting import Forgetting, General, general_knowledge

TEXTS, QUESTIONS = forgetting._material()


# --- the material -------------------------------------------------------------------------------
def test_no_text_and_no_question_is_there_twice() -> None:
    asked = [one.question for one in QUESTIONS]
    assert len(TEXTS) >= 20 and len(asked) >= 20
    assert len({text.casefold() for text in TEXTS}) == len(TEXTS)
    assert len({text.casefold() for text in asked}) == len(asked)
    assert len({tuple(text.split()[:4]) for text in TEXTS}) == len(TEXTS), "no two texts begin alike"


def test_every_text_is_a_few_sentences_or_lines_long() -> None:
    assert all(10 <= len(text.split()) <= 60 for text in TEXTS)


@pytest.mark.parametrize("one", QUESTIONS, ids=lambda one: str(one.question))
def test_every_question_has_answers_that_are_found_and_is_none_itself(one: forgetting._Question) -> None:
    assert one.answers and all(answer.strip() for answer in one.answers)
    for answer in one.answers:
        for said in (answer, f"It is {answer}.", f"**{answer}**, of course!", f"({answer.upper()})"):
            assert forgetting._is_right(said, one.answers)
    # Else a model that repeats what it is asked, as spoiled ones do, would be right.
    assert not forgetting._is_right(one.question, one.answers)
    assert not forgetting._is_right("", one.answers)


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("ice", True),
        ("You get ICE!", True),
        ("nice", False),
        ("iced tea", False),
        ("price of ice_cream", False),
        ("a slice, or ice?", True),
    ],
)
def test_an_answer_counts_as_a_whole_word_only(said: str, right: bool) -> None:
    assert forgetting._is_right(said, ["ice"]) is right


# --- a real model -------------------------------------------------------------------------------
class Try:
    """A model on eight of the texts and three of the questions, which takes seconds; what was shown of it."""

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        self.stages: list[tuple[str, int | None]] = []
        self.done = 0

    def known(self) -> General:
        few = [one for one in QUESTIONS if one.answers in (("Paris",), ("cold",), ("H2O", "H₂O"))]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(forgetting, "_material", lambda: (TEXTS[:8], few))
            patch.setattr(forgetting, "_LONGEST", 12)
            return general_knowledge(self.model, "what it knows", self.show)

    @contextlib.contextmanager
    def show(self, label: str, units: int | None) -> Iterator[Callable[[int], None]]:
        self.stages.append((label, units))
        yield self.advance

    def advance(self, more: int) -> None:
        self.done += more


@pytest.fixture(scope="module")
def tried() -> Try:
    return Try(load_base(BUNDLED, "float32"))


@pytest.fixture(scope="module")
def before(tried: Try) -> General:
    return tried.known()


def test_a_model_that_can_answer_does_and_progress_counts_texts_and_questions(tried: Try, before: General) -> None:
    assert before.right == (True, True, True)
    assert 2 < before.loss.value < 6 and before.loss.unit is Unit.NATS
    assert (tried.stages[0], tried.done) == (("what it knows", 8 + 3), 8 + 3)


def test_equal_models_have_lost_nothing(tried: Try, before: General) -> None:
    again = tried.known()
    assert again == before
    nothing = Forgetting(before=before, after=again)
    assert nothing.loss.value == 0
    assert "(+0.000); plain questions answered: 3 of 3 before, 3 after." in str(nothing)


def test_a_model_that_was_spoiled_has_lost_for_sure(tried: Try, before: General) -> None:
    weight = tried.model.model.model.layers[3].mlp.down_proj.weight
    kept = weight.detach().clone()
    torch.manual_seed(7)
    with torch.no_grad():
        weight.add_(torch.randn_like(weight))
        after = tried.known()
        weight.copy_(kept)
    lost = Forgetting(before=before, after=after)
    assert lost.loss.low > 1
    assert lost.loss.value == pytest.approx(after.loss.value - before.loss.value)
    assert sum(after.right) < 3


def test_the_loss_is_that_of_every_token_but_the_first_of_a_text(tried: Try, before: General) -> None:
    for text, nats, tokens in zip(TEXTS, before.nats, before.tokens, strict=False):
        ids = torch.tensor([tried.model.tokenizer(text, add_special_tokens=False)["input_ids"]])
        with torch.inference_mode():
            expected = tried.model.model(ids, labels=ids).loss
        assert tokens == ids.shape[1] - 1
        assert nats / tokens == pytest.approx(expected.item(), rel=1e-4)


# --- figures ------------------------------------------------------------------------------------
def known(nats: tuple[float, ...], right: tuple[bool, ...]) -> General:
    return General(nats=nats, tokens=(10,) * len(nats), right=right)


def test_the_sentence_has_the_numbers_and_the_interval() -> None:
    before = known((20, 30, 25, 40, 15, 30, 20), (True, True, True, False))
    after = known((23, 34, 27, 46, 17, 33, 23), (True, False, False, False))
    found = Forgetting(before=before, after=after)
    assert found.loss.value == pytest.approx((203 - 180) / 70)
    assert str(found) == (
        "On texts that are not the task the loss per token went from 2.571 to 2.900 nats (+0.329, 95% interval "
        f"{found.loss.low:+.3f} to {found.loss.high:+.3f}); plain questions answered: 3 of 4 before, 1 after."
    )
    assert 0.15 < found.loss.low < 0.3 < 0.36 < found.loss.high < 0.5


def test_a_model_that_became_better_has_a_loss_that_fell() -> None:
    before, after = known((30, 30, 31, 29, 30, 33, 30), ()), known((20, 22, 20, 20, 21, 20, 20), ())
    found = Forgetting(before=before, after=after)
    assert found.loss.high < 0
    assert "(-1.000, 95% interval -1." in str(found)


def test_what_was_measured_comes_back_from_the_file_as_it_was() -> None:
    found = Forgetting(before=known((1.5, math.pi), (True,)), after=known((2.5, math.e), (False,)))
    assert Forgetting.model_validate_json(found.model_dump_json()) == found
