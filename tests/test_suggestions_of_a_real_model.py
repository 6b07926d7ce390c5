"""The bundled model behind an OpenAI-compatible endpoint, held to the schema that it is sent: from file to form."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import Reply
from model_server import completion
from support import row
from test_suggestions import decisions, opened, shop

from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.model_sources import BUNDLED
from pipeline.finetuning.predict import predict
from pipeline.review.labeling_tasks import labeling_task
from pipeline.review.questions import question
from schemas.message import Message


class Served:
    """Answers requests with a model, token by token within the schema of each request."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self.written: list[str] = []
        self._turn = threading.Lock()

    def __call__(self, request: dict[str, Any], number: int) -> Reply:
        messages = [Message.model_validate(message) for message in request["messages"]]
        schema = request["response_format"]["json_schema"]["schema"]
        compact = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
        grammar = f"start: %json {json.dumps(schema | {'x-guidance': compact})}"
        with self._turn:
            [text] = predict(self.loaded, [messages], max_new_tokens=request["max_tokens"], grammar=grammar)
            self.written.append(text)
        tokens = len(self.loaded.token_ids(messages, answer_follows=True))
        return completion(text, model=request["model"], tokens=tokens)


@pytest.fixture(scope="module")
def model() -> Iterator[Served]:
    yield Served(load_base(BUNDLED))


def test_unlabeled_rows_reach_annotators_with_what_the_bundled_model_says(tmp_path: Path, model: Served) -> None:
    asked = ["Where is my parcel?", "May I send the shoes back?"]
    rows = [row(number, text, None) for number, text in enumerate(asked)]
    with shop(tmp_path, rows, model, suggest=", max_tokens: 32") as (terminal, server):
        result = terminal.json("curate")["suggested"]
        again = terminal.json("curate")["suggested"]
        assert len(server.asked) == len(asked)
    assert (result["answered"], result["invalid"], result["waiting"]) == (2, 0, 0)
    assert (again["known"], again["calls"]) == (2, 0)
    assert result["tokens"] > 2 * 50
    task, found = opened(tmp_path).dataset.task, decisions(tmp_path)
    for number, text in enumerate(model.written):
        said = json.loads(text)
        assert found[number].model_answer == said
        shown = labeling_task(task, question(found[number], task))["predictions"][0]["result"][0]
        assert shown["value"] == {"choices": [said["topic"]]}
