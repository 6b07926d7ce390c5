"""What preflight says about the rows of a split: each finding with its severity, its rows and what to do next."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, computed_field

from pipeline.finetuning.preflight_rows import LEFT_OUT, UNSOUND, Measured, Problem
from pipeline.text.wording import counted, shown_share
from schemas.dataset import Finetune, Fix

LOST_SHARE = 0.1
"""So many rows may be left out for one reason; beyond that, somebody has to say that it is meant."""
_EXAMPLES = 5
_SHARE_FROM = 100
"""Of fewer rows a share says no more than their number."""
_LITTLE_TRAINED = 0.02
_DROP = "or leave such rows out with `--fix drop`"


class Severity(StrEnum):
    """What a finding means for the training."""

    ERROR = "error"
    """It does not begin."""
    WARNING = "warning"
    NOTE = "note"


class Finding(BaseModel, frozen=True):
    """Something that preflight found."""

    code: str
    severity: Severity
    split: str
    """Empty if it is about all of the training."""
    rows: int
    of: int
    """Rows of the split."""
    examples: tuple[str, ...] = ()
    """Ids of the first such rows."""
    what: str
    next: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def share(self) -> float:
        """Of the split's rows."""
        return self.rows / self.of if self.of else 0.0

    def __str__(self) -> str:
        which = f"all {self.of:,}" if self.rows == self.of > 1 else f"{self.rows:,} of {self.of:,}"
        share = f" ({shown_share(self.share)})" if self.rows < self.of and self.of >= _SHARE_FROM else ""
        where = f"{which} {self.split} rows{share}: " if self.split else ""
        return f"{self.code}: {where}{self.what}"


@dataclass(frozen=True)
class Judge:
    """Turns measured rows into findings."""

    model: str
    config: Finetune
    limit: int
    """Tokens that are read of a row."""
    context: int | None
    """Tokens that the model can read at all, if it says so."""
    any_of: bool = False
    """Whether any of several answers to the same prompt is right."""
    room: int | None = None
    """Tokens that an answer may have where ``finetune.max_new_tokens`` is not set; None if it is not judged, or not
    known."""

    def trained(self, rows: Measured) -> list[Finding]:
        """What is found of the rows to train on."""
        keeps = self.kept(rows)
        found = [self._of_problem(problem, rows) for problem in Problem]
        found += [self._shortened(rows, "train"), self._dropped(rows), self._contradicting(rows, keeps)]
        found += [self._less_than_a_batch(int(keeps.sum()), len(rows)), self._mostly_prompt(rows, keeps)]
        return [one for one in found if one]

    def asked(self, rows: Measured, split: str) -> list[Finding]:
        """What is found of the rows that the models are asked."""
        found = [self._of_question(problem, rows, split) for problem in _OF_QUESTIONS]
        found += [self._shortened(rows, split), self._unanswerable(rows, split), self._unreadable(rows, split)]
        return [one for one in found if one]

    def questions(self, rows: Measured) -> int:
        """How many questions rows of the test split are: those with the same prompt are one."""
        return len(np.unique(rows.prompts[self.usable(rows, "test")]))

    def kept(self, rows: Measured) -> npt.NDArray[np.bool_]:
        """Which rows are trained on."""
        return ~rows.having(LEFT_OUT | UNSOUND if self._drops else LEFT_OUT)

    def usable(self, rows: Measured, split: str) -> npt.NDArray[np.bool_]:
        """Which rows are trained on, or of another split asked: also those that are long, and with marks in them."""
        return self.kept(rows) if split == "train" else ~rows.having(Problem.UNRENDERED | Problem.CALLS_NOT_SHOWN)

    @property
    def _drops(self) -> bool:
        return Fix.DROP in self.config.fix

    def _of_problem(self, problem: Problem, rows: Measured) -> Finding | None:
        which = rows.having(problem)
        # A row that is too long for its answer alone is counted there only, one that is refused for its system
        # message not as refused for no reason.
        for narrower, wider in (
            (Problem.LONG_LABELS, Problem.ANSWER_CUT),
            (Problem.NO_SYSTEM_ROLE, Problem.UNRENDERED),
        ):
            which &= ~rows.having(narrower) if problem is wider else True
        count, of = int(which.sum()), len(rows)
        if not count:
            return None
        severity = self._severity(problem, count, of)
        what, then = _WORDS[problem]
        names = {
            "limit": f"{self.limit:,}",
            "model": self.model,
            "refusal": rows.refusal,
            "longer": self._longer(rows),
        }
        # What is left out anyway needs nobody's word before it is much.
        may_drop = severity is Severity.ERROR and count < of and problem in LEFT_OUT | UNSOUND
        return Finding(
            code=problem.name.lower() if problem.name else "",
            severity=severity,
            split="train",
            rows=count,
            of=of,
            examples=_some(rows, which),
            what=what.format_map(names),
            next=then.format_map(names) + (f", {_DROP}" if may_drop else ""),
        )

    def _severity(self, problem: Problem, count: int, of: int) -> Severity:
        if problem is Problem.EOS_MISMATCH:
            return Severity.ERROR
        if problem in UNSOUND | Problem.LONG_LABELS:
            return Severity.WARNING if self._drops and count < of else Severity.ERROR
        if problem in LEFT_OUT:
            is_too_much = count > LOST_SHARE * of and not self._drops
            return Severity.ERROR if count == of or is_too_much else Severity.WARNING
        return Severity.WARNING

    def _longer(self, rows: Measured) -> str:
        """Which ``max_length`` would keep how many rows, and whether the model can read so much."""
        needed = rows.full_tokens[~rows.having(Problem.UNRENDERED)]
        if not needed.size:
            return ""
        at = [int(np.quantile(needed, share, method="inverted_cdf")) for share in (1, 0.99, 0.95)]
        text = f"finetune.max_length {at[0]:,} would keep all rows, {at[1]:,} would keep 99%, {at[2]:,} would keep 95%"
        if self.context is not None and self.context < at[0]:
            text += f" (the model reads at most {self.context:,} tokens)"
        return text

    def _shortened(self, rows: Measured, split: str) -> Finding | None:
        count = int(rows.shortened.sum())
        if not count:
            return None
        cut = int((rows.full_tokens - rows.tokens)[rows.shortened].sum())
        what = f"the longest input is cut at its end to fit into {self.limit:,} tokens, as told; {cut:,} tokens in all"
        then = "look at some of them; what decides the answer may stand in the part that is cut"
        return self._note(
            "shortened", Severity.WARNING, split, count, len(rows), what, then, _some(rows, rows.shortened)
        )

    def _dropped(self, rows: Measured) -> Finding | None:
        which = rows.having(UNSOUND) & ~rows.having(LEFT_OUT)
        count = int(which.sum())
        if not self._drops or not count:
            return None
        what, then = "left out for an error of theirs, as told", "correct them at the source, and release again"
        return self._note("dropped", Severity.WARNING, "train", count, len(rows), what, then, _some(rows, which))

    def _less_than_a_batch(self, kept: int, of: int) -> Finding | None:
        batch, taken = self.config.batch_size, min(kept, self.config.max_rows or kept)
        if taken >= batch:
            return None
        what = f"{counted(taken, 'row')} are left to train on, but finetune.batch_size is {batch:,}"
        then = f"set finetune.batch_size to {taken:,} or add rows" if taken else "see what the others are left out for"
        return self._note("too_few_rows", Severity.ERROR, "", taken, of, what, then)

    def _mostly_prompt(self, rows: Measured, keeps: npt.NDArray[np.bool_]) -> Finding | None:
        read, trained = int(rows.tokens[keeps].sum()), int(rows.trained[keeps].sum())
        if not read or trained >= _LITTLE_TRAINED * read:
            return None
        what = f"only {shown_share(trained / read)} of the tokens are trained, the rest are prompts that cost time"
        then = "shorten the instruction, if it names what the model would learn from the rows anyway"
        return self._note("mostly_prompt", Severity.NOTE, "train", int(keeps.sum()), len(rows), what, then)

    def _contradicting(self, rows: Measured, keeps: npt.NDArray[np.bool_]) -> Finding | None:
        """Rows with the same prompt and another answer."""
        places = np.flatnonzero(keeps)
        pairs = np.unique(np.stack([rows.prompts[places], rows.answers[places]], axis=1), axis=0)
        prompts, answers = np.unique(pairs[:, 0], return_counts=True)
        which = keeps & np.isin(rows.prompts, prompts[answers > 1])
        if not (count := int(which.sum())):
            return None
        severity = Severity.NOTE if self.any_of else Severity.WARNING
        what = "the same prompt has other answers, too, so that no model can learn all of them"
        then = "nothing, if any of them is right" if self.any_of else "decide which one is right, and release again"
        return self._note("contradicting", severity, "train", count, len(rows), what, then, _some(rows, which))

    def _of_question(self, problem: Problem, rows: Measured, split: str) -> Finding | None:
        which = rows.having(problem)
        count, of = int(which.sum()), len(rows)
        if not count:
            return None
        what, then = _OF_QUESTIONS[problem]
        names = {"limit": f"{self.limit:,}", "model": self.model, "refusal": rows.refusal, "longer": self._longer(rows)}
        is_refused = problem in LEFT_OUT and problem is not Problem.ANSWER_CUT
        severity = Severity.ERROR if is_refused and count == of else Severity.WARNING
        code = problem.name.lower() if problem.name else ""
        return self._note(
            code, severity, split, count, of, what.format_map(names), then.format_map(names), _some(rows, which)
        )

    def _unanswerable(self, rows: Measured, split: str) -> Finding | None:
        """Questions whose right answer is longer than a model may write."""
        most = self.config.max_new_tokens or self.room
        if most is None or split != "test":
            # Nobody writes answers to other rows.
            return None
        which = rows.written > most
        if not (count := int(which.sum())):
            return None
        needed = int(rows.written.max())
        what = f"the right answer is longer than the {most:,} tokens that a model may write, so none can be right"
        # Without the key there may be room enough, and there may not.
        without = self.config.max_new_tokens is not None and self.room is not None and self.room >= needed
        then = f"set finetune.max_new_tokens to {needed:,}" + (", or leave it out" if without else "")
        return self._note(
            "beyond_max_new_tokens", Severity.WARNING, split, count, len(rows), what, then, _some(rows, which)
        )

    def _unreadable(self, rows: Measured, split: str) -> Finding | None:
        """Questions that the model cannot read to their end."""
        if self.context is None:
            return None
        which = rows.full_tokens - rows.answer >= self.context
        if not (count := int(which.sum())):
            return None
        what = f"they are longer than the {self.context:,} tokens that {self.model} reads, so no answer of it is right"
        then = "set a finetune.base_model that reads longer texts, or cut their inputs with `--fix shorten`"
        return self._note("beyond_context", Severity.WARNING, split, count, len(rows), what, then, _some(rows, which))

    @staticmethod
    def _note(
        code: str,
        severity: Severity,
        split: str,
        rows: int,
        of: int,
        what: str,
        then: str,
        examples: tuple[str, ...] = (),
    ) -> Finding:
        return Finding(
            code=code, severity=severity, split=split, rows=rows, of=of, examples=examples, what=what, next=then
        )


def _some(rows: Measured, which: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(rows.ids[place] for place in np.flatnonzero(which)[:_EXAMPLES])


_WORDS: Mapping[Problem, tuple[str, str]] = {
    Problem.UNRENDERED: (
        "the chat template cannot render them, so they are left out: {refusal}",
        "correct the rows, or set another finetune.base_model",
    ),
    Problem.NO_SYSTEM_ROLE: (
        "the chat template of {model} has no system role: the instruction, with the names of labels and fields, would "
        "be lost",
        "set another finetune.base_model, or let the task's task_prompt write the instruction into the user's turn",
    ),
    Problem.CALLS_NOT_SHOWN: (
        "the chat template of {model} does not show calls of tools, so these rows are left out",
        "choose a finetune.base_model whose template shows them",
    ),
    Problem.ANSWER_CUT: (
        "longer than the {limit} tokens that are read of a row; they are left out, since a cut would be in the answer",
        "{longer}; or cut their inputs with `--fix shorten`",
    ),
    Problem.LONG_LABELS: (
        "the answer alone is longer than the {limit} tokens that are read of a row; they are left out",
        "{longer}; or choose a finetune.base_model that reads longer texts",
    ),
    Problem.NOTHING_TO_TRAIN_ON: (
        "no token of theirs would be trained: the answers have the weight 0, or the template does not show them as it "
        "opens them; they are left out",
        "give the answers another weight, or set another finetune.base_model",
    ),
    Problem.TEMPLATE_TOKENS: (
        "their texts contain special tokens of {model} or marks of its chat template, which it would read as the "
        "beginning or end of a turn",
        "take them out of the texts (`screen.template_tokens` finds the common ones)",
    ),
    Problem.END_NOT_TRAINED: (
        "the chat template of {model} writes no end of turn after the answer, so the model would not learn to stop",
        "set another finetune.base_model, or add the end of turn to its chat_template.jinja",
    ),
    Problem.EOS_MISMATCH: (
        "the answer ends with a token at which {model} does not stop when it generates, so that it would write on",
        "add that token to eos_token_id in the model's generation_config.json, or set another finetune.base_model",
    ),
    Problem.PROMPT_DIFFERS: (
        "the prompt by which the model is asked is not the text that it is trained after: the chat template of {model} "
        "writes one thing to open an answer, and another around a given one",
        "set another finetune.base_model, or correct its chat_template.jinja",
    ),
    Problem.TURNS_DROPPED: (
        "the chat template of {model} leaves out turns of these conversations",
        "set another finetune.base_model",
    ),
    Problem.BEYOND_VOCABULARY: (
        "they have tokens that {model} has no weights for",
        "use the tokenizer that belongs to the model",
    ),
    Problem.DOUBLE_BOS: (
        "they begin with two begin-of-text tokens",
        "take one out of the model's chat_template.jinja",
    ),
    Problem.TURNS_CHANGED: (
        "the chat template of {model} shows an earlier turn, or its reasoning, differently once others follow; such a "
        "turn is not trained",
        "right for most models that reason; finetune.turns: last says so",
    ),
    Problem.MARKUP_IN_TEXT: (
        "their texts contain marks that the chat template of {model} writes itself, as for reasoning or calls",
        "right if they are meant as such; else take them out",
    ),
    Problem.UNKNOWN_TOKEN: (
        "they have characters that the tokenizer of {model} does not know",
        "normalize the texts, or set a finetune.base_model for their language",
    ),
    Problem.EMPTY_ANSWER: (
        "an answer says nothing, such as an empty text, `.` or `N/A`, so that the model would learn to say nothing",
        "correct them at the source or in review, give such turns the weight 0, and release again",
    ),
    Problem.TOKEN_ACROSS_BORDER: (
        "a token reaches from the prompt into the answer, so that the model is never asked exactly as it is trained",
        "harmless for most models; a chat_template.jinja whose prompt ends with a special token or a line break helps",
    ),
}
"""For each problem of a row to train on: what it is, and what to do next."""
_OF_QUESTIONS: Mapping[Problem, tuple[str, str]] = {
    Problem.UNRENDERED: (
        "the chat template cannot render them, so they are not asked: {refusal}",
        "correct the rows, or set another finetune.base_model",
    ),
    Problem.CALLS_NOT_SHOWN: (
        "the chat template of {model} does not show their calls of tools, so they are not asked",
        "choose a finetune.base_model whose template shows them",
    ),
    Problem.ANSWER_CUT: (
        "with their answer they are longer than the {limit} tokens that are read of a row in training",
        "{longer}; or cut their inputs with `--fix shorten`",
    ),
    Problem.TEMPLATE_TOKENS: (
        "their texts contain special tokens of {model} or marks of its chat template, which it reads as the beginning "
        "or end of a turn",
        "take them out of the texts, and release again",
    ),
}
"""The same for the rows of the other splits."""
