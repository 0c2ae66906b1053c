"""A second opinion on a message's intent for Rasa's pipeline: what the small encoder of bot/crisis/model makes of it.

The encoder was trained on the crisis guard's labels and on the intents of data/nlu together (bot/crisis/training).
Rasa's own classifier sees words and letters, the encoder sentences; their probabilities are multiplied (a logarithmic
pool, Genest and Zidek 1986). Decision 0004 says why, and what it costs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.classifiers.classifier import IntentClassifier
from rasa.shared.nlu.constants import INTENT, INTENT_RANKING_KEY, TEXT
from rasa.shared.nlu.training_data.message import Message

MODEL_FOLDER = Path(__file__).parents[1] / "crisis" / "model"
MOST_TOKENS = 126  # of a long message the first ones are read
CLINICAL = "clinical_"  # intents that are answered with a refusal and the safe next step
CRISIS = "crisis_"


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=False)
class EncoderOpinion(IntentClassifier, GraphComponent):
    """Joins the encoder's opinion to the ranking of the classifier before it.

    `share` is the encoder's weight between 0 and 1. When the clinical intents together reach `clinical` and what leads
    is below `sure`, the likeliest of them is heard: answering a clinical question with something else is a safety bug,
    refusing one time too often is not. A crisis that leads stays. `folder` holds the encoder; "" is the shipped one,
    another stands there where a cross-validation trains its own.
    """

    @staticmethod
    def required_packages() -> list[str]:
        """Name the packages Rasa checks for."""
        return ["onnxruntime", "tokenizers"]

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """Return the component's defaults, measured in benchmarks/results/intents.md."""
        return {"share": 0.55, "clinical": 0.05, "sure": 0.6, "folder": ""}

    def __init__(self, config: dict[str, Any]) -> None:
        """Load the encoder; raises what onnxruntime raises when its files are missing or damaged."""
        import onnxruntime
        from tokenizers import Tokenizer

        self._share, self._clinical = float(config["share"]), float(config["clinical"])
        self._sure = float(config["sure"])
        folder = Path(config["folder"] or MODEL_FOLDER)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        self._first, self._last = settings["first"], settings["last"]
        self._places = {name: place for place, name in enumerate(settings["intents"])}

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> EncoderOpinion:
        """Make the component as Rasa asks for it."""
        return cls(config)

    @classmethod
    def validate_config(cls, config: dict[str, Any]) -> None:
        """Refuse a number outside 0 to 1."""
        for name in ("share", "clinical", "sure"):
            if not 0 <= config.get(name, 0) <= 1:
                raise ValueError(f"{cls.__name__}: {name} must lie between 0 and 1")

    def process(self, messages: list[Message]) -> list[Message]:
        """Set intent and ranking anew on messages that have text and a ranking."""
        for message in messages:
            text, ranking = message.get(TEXT), message.get(INTENT_RANKING_KEY)
            if text and ranking:
                names = [entry["name"] for entry in ranking]
                joined = self._join(names, np.array([entry["confidence"] for entry in ranking]), text)
                order = sorted(zip(names, joined.tolist(), strict=True), key=lambda entry: -entry[1])
                order = self._careful(order)
                ranking = [{"name": name, "confidence": confidence} for name, confidence in order]
                message.set(INTENT, ranking[0], add_to_output=True)
                message.set(INTENT_RANKING_KEY, ranking[:10], add_to_output=True)
        return messages

    def _join(self, names: list[str], words: np.ndarray, text: str) -> np.ndarray:
        """Return the joint probabilities; of an intent newer than the encoder the words alone speak."""
        said = self._ask(text)
        first = np.log(words + 1e-9)
        second = np.array(
            [said[self._places[n]] if n in self._places else own for n, own in zip(names, first, strict=True)]
        )
        joined = np.exp((1 - self._share) * first + self._share * second)
        return joined / joined.sum()

    def _careful(self, order: list[tuple[str, float]]) -> list[tuple[str, float]]:
        """Put the likeliest clinical intent first when together they are likely enough."""
        clinical = [entry for entry in order if entry[0].startswith(CLINICAL)]
        together = sum(confidence for _, confidence in clinical)
        leader, confidence = order[0]
        if together < self._clinical or confidence >= self._sure or leader.startswith((CLINICAL, CRISIS)):
            return order
        first = (clinical[0][0], max(confidence, together))  # no less sure than what it takes the place of
        return [first, *(entry for entry in order if entry[0] != first[0])]

    def _ask(self, text: str) -> np.ndarray:
        """Return the encoder's log-probabilities of the intents it knows."""
        pieces = self._tokenizer.encode(text, add_special_tokens=False).ids[:MOST_TOKENS]
        ids = np.array([[self._first, *pieces, self._last]], dtype=np.int64)
        (said,) = self._session.run(["intents"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        return np.asarray(said[0])
