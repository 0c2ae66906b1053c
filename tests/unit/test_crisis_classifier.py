"""The statistical classifier: what it finds, that it stays bounded, and that damaged files say so."""

import json
import shutil
import time

import pytest

from bot.crisis.classifier import MODEL_FOLDER, MOST_WINDOWS, WINDOW_TOKENS, Classifier, _windows, prepare
from bot.crisis.decision import CATEGORIES
from bot.crisis.guard import Guard
from bot.crisis.training import coverage
from bot.errors import GuardError

CRISES = [
    ("suicide", "self", "i gave my dog to my sister today and wrote everyone a letter. after tonight it stops hurting"),
    ("suicide", "self", "ya no quiero seguir viviendo, hoy me despido de todos"),
    ("self_harm", "self", "started cutting my legs again last night, hiding it from my mum"),
    ("overdose", "other", "my flatmate wont wake up, lips are blue and hes making a gurgling noise"),
    ("withdrawal", "self", "stopped drinking two days ago and now im shaking and seeing spiders on the wall"),
    ("violence", "self", "my husband choked me last night and says next time he wont stop"),
    ("harm_to_others", "self", "im going to kill my stepdad when he comes home, im waiting in the kitchen"),
    ("reality_distress", "self", "the neighbours put a chip in my teeth and now the tv is giving me orders"),
    ("child_danger", "other", "the woman next door goes out all night and leaves her toddler alone, hes crying again"),
]
ORDINARY = [
    "i could murder a coffee right now",
    "im dying for a cigarette lol",
    "how do i deal with a craving after dinner",
    "can i talk to a real person please",
    "is methadone better than buprenorphine",
    "six months sober today, thank you all",
    "estoy muerta de cansancio pero hoy no tomé",
]


@pytest.fixture(scope="module")
def classifier():
    return Classifier.load()


@pytest.fixture(scope="module")
def guard():
    return Guard.load()


@pytest.mark.parametrize(("category", "about", "text"), CRISES)
def test_rules_and_classifier_find_a_crisis_and_whom_it_is_about(guard, category, about, text):
    """Which of two neighbouring crises it is may change with a training; that it is one, and whose, may not."""
    decision = guard.assess(text, None)
    assert decision.category is not None, category
    assert decision.about == about


def test_the_classifier_hears_what_no_rule_spells_out(guard):
    text = "my friend overdosed"
    assert guard.assess(text, "en").why == ("classifier",)


@pytest.mark.parametrize("text", ORDINARY)
def test_leaves_ordinary_messages_alone(classifier, text):
    assert not [finding for finding in classifier.classify(text) if finding.category in CATEGORIES]


def test_evidence_is_the_dangerous_sentence_of_the_original_text(classifier):
    text = "Hi, thanks for yesterday.  I am going to kill myself tonight! Anyway, how is your day?"
    assert text[slice(*classifier._evidence(text))] == "I am going to kill myself tonight!"


def test_hears_a_disclosure_split_over_messages(guard):
    recent = ["i just want to", "end"]
    assert not [text for text in recent if guard.assess(text, "en").category]
    assert guard.assess("my life", "en").category is None
    assert guard.assess("my life", "en", recent).category == "suicide"


@pytest.mark.parametrize("text", ["tonight", "my life", "Life.", "my kids", "mi vida", "esta noche"])
def test_a_word_or_two_that_say_nothing_are_no_crisis(guard, text):
    assert guard.assess(text, None).category is None


def test_the_same_text_again_is_no_split_disclosure(classifier):
    text = "I am driving and will reply later"
    assert classifier._join(prepare(text), [text, text]) == ("", "")
    assert not classifier.classify(text, [text, text])


def test_an_earlier_crisis_does_not_make_the_next_message_one(classifier):
    assert classifier.classify("ok thank you", ["i want to kill myself"]) == []


def test_text_without_words_is_nothing(classifier):
    assert classifier.classify("") == classifier.classify(" \u200b\n") == []


def test_finds_a_crisis_at_the_end_of_a_long_message(guard):
    text = (
        "we talked about the garden and the weather and the new bus line. " * 40 + "i am going to kill myself tonight"
    )
    assert guard.assess(text, "en").category == "suicide"


@pytest.mark.parametrize(
    "text", ["hello my friend " * 70_000, "a" + "\u0301" * 1_000_000, "x" * 1_000_000, "!" * 500_000]
)
def test_a_megabyte_takes_bounded_time(classifier, text):
    began = time.process_time()
    classifier.classify(text, [text, text])
    assert time.process_time() - began < 2


def test_windows_cover_the_end_and_are_few():
    ids = list(range(5_000))
    windows = _windows(ids)
    assert len(windows) == MOST_WINDOWS
    assert windows[0][0] == 0
    assert windows[-1][-1] == ids[-1]
    assert max(map(len, windows)) == WINDOW_TOKENS


def test_prepare_makes_look_alikes_plain():
    assert prepare("  Í want\u200b to\nDÍEEEEE ") == "i want to diee"


def test_damaged_files_raise_an_error_that_names_the_remedy(tmp_path):
    shutil.copytree(MODEL_FOLDER, tmp_path / "model")
    (tmp_path / "model" / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(GuardError, match=r"train\.py"):
        Classifier.load(tmp_path / "model")
    with pytest.raises(GuardError):
        Classifier.load(tmp_path / "nowhere")


def test_settings_of_another_version_are_refused(tmp_path):
    shutil.copytree(MODEL_FOLDER, tmp_path / "model")
    settings = json.loads((tmp_path / "model" / "settings.json").read_text())
    settings["labels"] = settings["labels"][::-1]
    (tmp_path / "model" / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(GuardError):
        Classifier.load(tmp_path / "model")


def test_the_model_is_small():
    assert sum(path.stat().st_size for path in MODEL_FOLDER.iterdir()) <= 30_000_000


def test_the_test_split_holds_nothing_that_was_trained_on():
    trained = {message.words for message in coverage.read_training()}
    test = coverage.read_test()
    assert len(test) > 1_900
    assert trained.isdisjoint(message.words for message in test)


def test_coverage_finds_near_duplicates_and_bad_lines(tmp_path):
    row = {"text": "i am so tired of all this", "lang": "en", "label": "none", "about": "self", "kind": "x"}
    other = {**row, "text": "I am so tired of ALL this!!"}
    path = tmp_path / "some.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps(other) + "\n")
    messages = coverage.read_messages([path])
    assert [(one, two) for _, one, two in coverage.find_near(messages)] == [(0, 1)]
    assert coverage.find_faults(messages, []) == ["some.jsonl:2 repeats some.jsonl:1"]
    path.write_text(json.dumps({**row, "label": "crisis"}) + "\n")
    with pytest.raises(ValueError, match=r"some\.jsonl:1"):
        coverage.read_messages([path])
