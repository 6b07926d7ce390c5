"""Whether a server gives a merged adapter's answers: the test questions of a version, asked of it and of transformers.

python tests/benchmarks/served.py VERSION MERGED q8_0=http://127.0.0.1:8080/v1    --help says how a server is started
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx
import torch
from rich.console import Console
from tables import Results

from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.examples import Example, read_examples
from pipeline.finetuning.model_sources import own_dtype
from pipeline.finetuning.predict import predict
from schemas.message import Message

Asked = Callable[[Sequence[Message]], str]

_HELP = """\
VERSION is a published version's folder, MERGED what `goldleaf merge` wrote. A server is anything that speaks OpenAI's
chat completions, by a name of yours. With llama.cpp's Python binding xllamacpp, for a file that llama.cpp's
convert_hf_to_gguf.py made of MERGED:

  import time, xllamacpp
  params = xllamacpp.CommonParams()
  params.model.path, params.port = "q8_0.gguf", 8080
  server = xllamacpp.Server(params)
  time.sleep(1e6)

  same     of the texts that transformers writes, greedy, one question at a time
  right    equal to the version's answer, to the letter
  seconds  the median of an answer; all are asked a question in turn, after the first one as a warm-up
"""


@dataclass(frozen=True)
class Answers:
    """Of one way to serve."""

    name: str
    texts: list[str]
    seconds: list[float]


def ask(rows: Sequence[Example], ways: Mapping[str, Asked]) -> list[Answers]:
    """Ask all of them each question, one after the other: what else the machine does slows all alike."""
    found = [Answers(name, [], []) for name in ways]
    for asked in ways.values():
        asked(rows[0].prompt)
    for row in rows:
        for one, asked in zip(found, ways.values(), strict=True):
            began = time.perf_counter()
            one.texts.append(asked(row.prompt))
            one.seconds.append(time.perf_counter() - began)
    return found


def transformers(merged: Path, max_tokens: int) -> Asked:
    """The merged model, in its own numbers."""
    loaded = load_base(str(merged), "float32" if own_dtype(str(merged)) == "float32" else "bfloat16")
    return lambda prompt: predict(loaded, [prompt], max_new_tokens=max_tokens)[0]


def server(address: str, max_tokens: int) -> Asked:
    """Whatever model the server at this address has first."""
    client = httpx.Client(timeout=300)
    model = client.get(f"{address}/models").raise_for_status().json()["data"][0]["id"]

    def answer(prompt: Sequence[Message]) -> str:
        messages = [message.as_json() for message in prompt]
        body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": max_tokens}
        found = client.post(f"{address}/chat/completions", json=body).raise_for_status().json()
        return cast(str, found["choices"][0]["message"]["content"])

    return answer


def compared(rows: Sequence[Example], all_answers: Sequence[Answers]) -> Results:
    """All of them against the first."""
    cells = []
    for one in all_answers:
        same = sum(text == other for text, other in zip(one.texts, all_answers[0].texts, strict=True))
        right = sum(text == row.answer for text, row in zip(one.texts, rows, strict=True))
        cells.append(
            (one.name, f"{same} of {len(rows)}", f"{right / len(rows):.1%}", f"{statistics.median(one.seconds):.3f}")
        )
    return Results("The same model, served", ("answered by", "same", "right", "seconds"), cells)


def main(given: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("version", type=Path)
    parser.add_argument("merged", type=Path)
    parser.add_argument("servers", nargs="+", metavar="NAME=URL", help="an address up to /v1")
    parser.add_argument("--rows", type=int, default=10**9, help="the first test questions only")
    parser.add_argument("--max-tokens", type=int, default=16, help="of an answer (default: 16)")
    parser.add_argument("--threads", type=int, default=1, help="of transformers (default: 1)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table as Markdown")
    asked = parser.parse_args(given)
    torch.set_num_threads(asked.threads)
    rows = list(read_examples(asked.version, "test"))[: asked.rows]
    ways = {"transformers": transformers(asked.merged, asked.max_tokens)}
    for place in asked.servers:
        name, _, address = place.partition("=")
        ways[name] = server(address, asked.max_tokens)
    table = compared(rows, ask(rows, ways))
    table.show(Console(width=max(Console().width, 100)))
    if asked.markdown:
        asked.markdown.write_text(table.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
