"""The library: serves only what is signed, finds the right item, and always has a card."""

import json
from datetime import timedelta
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.content import ContentMissing, Library, parse_item
from bot.content.minimum import GROUPS
from bot.errors import ContentError
from tests.unit.content_folder import NOW, ROLES, ContentFolder, item_text, line


@pytest.fixture
def folder(tmp_path):
    return ContentFolder(tmp_path / "content")


def served(library: Library) -> set[tuple[str, str]]:
    return {(item.id, item.language) for item in library.items()}


# What is served


def test_signed_items_are_served_and_nothing_is_wrong(folder):
    folder.item("craving/surf")
    folder.card()
    library = folder.load()
    assert served(library) == {("craving/surf", "en"), ("card/suicide", "en")}
    assert library.references() == {"craving/surf", "surf", "card/suicide", "suicide"}
    assert library.problems == []


def test_an_injected_unsigned_item_is_refused_at_load_and_the_rest_goes_on(folder):
    folder.item("craving/surf")
    file = folder.item("craving/planted", signed=False, topics="[surf]")
    library = folder.load()
    assert served(library) == {("craving/surf", "en")}
    assert [(problem.file, problem.what) for problem in library.problems] == [(file, "is not served: unsigned")]
    assert all(
        library.resolve("surf", language="en", channel="web", seed=str(n)).id == "craving/surf" for n in range(20)
    )
    with pytest.raises(ContentMissing):
        library.resolve("craving/planted", language="en", channel="web")


def test_one_changed_byte_voids_a_sign_off(folder):
    file = folder.item("craving/surf")
    path = folder.path / file
    path.write_bytes(path.read_bytes().replace(b"Sit down.", b"Sit down!", 1))
    assert served(folder.load()) == set()
    assert folder.load().problems[0].what == "is not served: altered"


def test_an_expired_item_is_not_served(folder):
    folder.item("craving/surf")
    assert served(folder.load(now=NOW + timedelta(days=364)))
    library = folder.load(now=NOW + timedelta(days=367))
    assert served(library) == set()
    assert "is not served: expired" in {problem.what for problem in library.problems}


def test_an_item_that_expires_while_the_desk_runs_is_retired(folder):
    folder.item("craving/surf")
    folder.sign(folder.item("craving/fresh", signed=False), now=NOW + timedelta(days=100))
    folder.card()
    library = folder.load()
    surf = library.resolve("craving/surf", language="en", channel="web")
    assert (library.due_within(30, NOW), library.due_within(400, NOW)) == (0, 3)
    library.retire(NOW + timedelta(days=300))  # the card and the hotlines were due after half a year
    assert served(library) == {("craving/surf", "en"), ("craving/fresh", "en")}
    assert library.card("suicide", about="self", language="en", channel="web").item == "minimum/crisis"
    assert library.due_within(70, NOW + timedelta(days=300)) == 1
    library.retire(NOW + timedelta(days=367))
    assert served(library) == {("craving/fresh", "en")}
    assert {problem.what for problem in library.problems} == {"is not served: expired"}
    with pytest.raises(ContentError):
        library.render(surf, channel="web")


def test_an_item_of_no_sign_off_is_refused_at_send_too(folder):
    file = folder.item("craving/surf")
    library = folder.load()
    planted = parse_item(item_text("craving/planted").encode(), "items/craving/planted.md")
    copied = parse_item((folder.path / file).read_bytes().replace(b"Sit", b"Lie"), file)
    for item in (planted, copied):
        with pytest.raises(ContentError, match="is not served"):
            library.render(item, channel="web")


def test_an_optional_item_is_served_only_where_the_deployer_turned_it_on(folder):
    folder.item("safety/general", topics="[using_now]")
    folder.item("safety/alone", topics="[using_now]", option="using_alone")
    assert served(folder.load()) == {("safety/general", "en")}
    library = folder.load(options=frozenset({"using_alone"}))
    assert library.resolve("using_now", language="en", channel="web").id == "safety/alone"


def test_hotlines_to_check_again_are_counted(folder):
    library = folder.load()
    assert (library.checks_due(NOW), library.checks_due(NOW + timedelta(days=31))) == (0, 2)


def test_a_role_that_does_not_count_here_is_not_served(folder):
    folder.item("craving/surf")
    library = folder.load(roles=frozenset({"demonstration"}))
    assert served(library) == set()
    assert {problem.what for problem in library.problems} == {"is not served: role not accepted"}


@pytest.mark.parametrize(
    "broken",
    [
        {"text": "a <b>b</b>"},
        {"text": "{{unknown}}"},
        {"text": "{{plan.triggers}}"},  # plan words belong to plan items
        {"sms": "**bold**"},
        {"choices": "[{label: '{{emergency}}', intent: x}]"},
        {"colour": "blue"},
    ],
)
def test_a_bad_item_is_refused_and_the_rest_goes_on(folder, broken):
    folder.item("craving/surf")
    file = folder.item("craving/bad", signed=False, **broken)
    library = folder.load()
    assert served(library) == {("craving/surf", "en")}
    assert [problem.file for problem in library.problems] == [file]
    assert not library.problems[0].what.startswith("is not served")
    assert library.problems[0].fix


@pytest.mark.parametrize("country", ["", "GB"])
def test_a_number_is_never_served_outside_its_country(folder, country):
    folder.item("treatment/find", lines="[us/988]", country=country, text="Call 988.", sms="Call 988.")
    library = folder.load()
    assert served(library) == set()
    assert "its country is not US" in library.problems[0].what


@pytest.mark.parametrize("name", ["us/989", "us/777"])
def test_an_unknown_or_unverified_line_is_never_served(folder, name):
    folder.hotlines(line("us/911") + line("us/988") + line("us/777", verified="unverified", evidence="S"))
    folder.item("treatment/find", lines=f"[{name}]", country="US")
    library = folder.load()
    assert served(library) == set()
    assert name in library.problems[0].what


def test_without_usable_hotlines_no_item_that_names_a_line_is_served(folder):
    folder.item("craving/surf")
    folder.card()
    (folder.path / "hotlines.yml").write_text("nothing")
    library = folder.load()
    assert served(library) == {("craving/surf", "en")}
    assert library.card("suicide", about="self", language="en", channel="web").item == "minimum/crisis"


@given(st.binary(max_size=300))
@settings(max_examples=30, deadline=None)
def test_rubbish_in_any_file_never_stops_the_load(tmp_path_factory, rubbish):
    folder = ContentFolder(tmp_path_factory.mktemp("rubbish") / "content")
    folder.item("craving/surf")
    (folder.path / "items/craving/rubbish.md").write_bytes(rubbish)
    assert served(folder.load()) == {("craving/surf", "en")}
    for file in ("reviews.jsonl", "reviewers.yml", "hotlines.yml"):
        with (folder.path / file).open("ab") as opened:
            opened.write(b"\n" + rubbish)
        library = folder.load()
        assert library.card("overdose", about="other", language="en", channel="sms").text
    (folder.path / "reviews.jsonl").unlink()
    assert served(folder.load()) == set()


def test_a_folder_that_is_not_there_leaves_the_minimum(tmp_path):
    library = Library.load(tmp_path / "nowhere", now=NOW, country="US", roles=ROLES)
    assert library.problems
    assert "988" in library.fallback("en", "web").text
    assert library.labels("en") == {}
    assert library.bar("en")[0] == {"label": "911", "href": "tel:911"}


# Finding


def test_when_all_were_seen_what_helped_comes_first(folder):
    for name in "abc":
        folder.item(f"craving/{name}", topics="[craving]")
    library = folder.load()

    def pick(seen, helped):
        return library.resolve("craving", language="en", channel="web", seen=seen, helped=helped).id

    assert pick(["craving/a", "craving/b"], {"craving/b"}) == "craving/c"
    assert pick(["craving/a", "craving/b", "craving/c"], {"craving/b"}) == "craving/b"
    assert pick(["craving/a", "craving/b", "craving/c"], set()) == "craving/a"


def test_a_topic_prefers_unseen_then_the_longest_unseen(folder):
    for name in "abc":
        folder.item(f"craving/{name}", topics="[craving]")
    library = folder.load()

    def next_of(*seen):
        return library.resolve("craving", language="en", channel="web", seen=seen, seed="s").id

    first = next_of()
    second = next_of(first)
    third = next_of(first, second)
    assert {first, second, third} == {"craving/a", "craving/b", "craving/c"}
    assert next_of(first, second, third) == first
    assert next_of(first, second, third, first) == second


def test_the_choice_is_fixed_by_the_seed_and_differs_between_seeds(folder):
    for name in "abcdef":
        folder.item(f"craving/{name}", topics="[craving]")
    library, again = folder.load(), folder.load()

    def chosen(library, seed):
        return library.resolve("craving", language="en", channel="web", seed=seed).id

    assert [chosen(library, str(n)) for n in range(30)] == [chosen(again, str(n)) for n in range(30)]
    assert len({chosen(library, str(n)) for n in range(30)}) == 6


def test_the_deployments_country_comes_before_any_and_another_country_never(folder):
    folder.item("treatment/find", topics="[find_help]")
    folder.item("treatment/find-us", topics="[find_help]", country="US")
    folder.item("treatment/find-gb", topics="[find_help]", country="GB")

    def all_served(country):
        library, seen = folder.load(country), []
        for _ in range(4):
            seen.append(library.resolve("find_help", language="en", channel="web", seen=seen).id)
        return seen[:1], set(seen)

    assert all_served("US") == (["treatment/find-us"], {"treatment/find-us", "treatment/find"})
    assert all_served(None) == (["treatment/find"], {"treatment/find"})
    assert all_served("IE") == (["treatment/find"], {"treatment/find"})
    with pytest.raises(ContentMissing):
        folder.load("IE").resolve("treatment/find-us", language="en", channel="web")


def test_english_stands_in_where_the_language_has_nothing(folder):
    folder.item("craving/surf", topics="[craving]")
    folder.item("craving/walk", topics="[craving]")
    folder.item("craving/walk", language="es", topics="[craving]")
    library = folder.load()
    assert library.resolve("craving/surf", language="es", channel="web").language == "en"
    assert {library.resolve("craving", language="es", channel="web", seed=str(n)).language for n in range(9)} == {"es"}


def test_an_item_id_means_that_item_even_where_it_is_also_a_topic(folder):
    for name in "abcdef":
        folder.item(f"craving/{name}", topics="[craving/f]")
    library = folder.load()
    assert library.resolve("craving/f", language="en", channel="web", seen=["craving/f"]).id == "craving/f"


def test_the_channel_must_fit(folder):
    folder.item("craving/surf", fits="[web]", sms="")
    with pytest.raises(ContentMissing):
        folder.load().resolve("craving/surf", language="en", channel="sms")


# Rendering


def test_steps_show_next_then_the_choices_and_the_timer_its_step(folder):
    folder.item(
        "craving/surf",
        text="One.\n\n---\n\nTwo.",
        sms="1\n---\n2",
        next_label="Next",
        timer_seconds="60",
        timer_step="2",
        choices="[{label: More, reference: surf}]",
    )
    library = folder.load()
    item = library.resolve("craving/surf", language="en", channel="sms")
    first, last = library.render(item, channel="sms"), library.render(item, channel="sms", step=1)
    assert [(choice.label, choice.reference) for choice in first.choices] == [("Next", "@next")]
    assert [choice.label for choice in last.choices] == ["More"]
    assert (first.timer_seconds, last.timer_seconds) == (None, 60)
    assert (first.html, first.step, first.steps, last.text) == ("", 0, 2, "2")
    assert library.render(item, channel="web").html == "<p>One.</p>"
    for step in (-1, 2):
        with pytest.raises(ContentError):
            library.render(item, channel="sms", step=step)


def test_country_words_come_from_the_country_and_cannot_be_passed_in(folder):
    folder.item("craving/surf", text="Call {{emergency}}, or {{crisis_line}}.")

    def text(country):
        library = folder.load(country)
        item = library.resolve("craving/surf", language="en", channel="web")
        return library.render(item, channel="web", variables={"emergency": "555"}).text

    assert text("US") == "Call 911, or call or text 988."
    assert text("GB") == "Call the emergency number where you are, or find a helpline at findahelpline.com."
    assert text(None) == text("GB")


def test_a_plan_says_the_persons_own_words(folder):
    folder.item("plan/done", text="When: {{plan.triggers}}.", sms="When: {{plan.triggers}}.")
    library = folder.load()
    item = library.resolve("plan/done", language="en", channel="web")
    with pytest.raises(ContentError, match=r"plan\.triggers"):
        library.render(item, channel="web")
    rendering = library.render(item, channel="web", variables={"plan.triggers": "<b>{{emergency}}</b> **x**"})
    assert rendering.text == "When: <b>{{emergency}}</b> **x**."
    assert rendering.html == "<p>When: &lt;b&gt;{{emergency}}&lt;/b&gt; **x**.</p>"


# Cards


def test_a_card_is_chosen_by_about_country_and_language(folder):
    folder.card("card/suicide-any", topics="[card/suicide]", country="", lines="")
    folder.card("card/suicide-us", topics="[card/suicide]", about="[self, unclear]")
    folder.card("card/suicide-worried", topics="[card/suicide]", about="[other]")

    def card(about, country="US", language="en"):
        return folder.load(country).card("suicide", about=about, language=language, channel="sms").item

    assert (card("self"), card("unclear"), card("other")) == (
        "card/suicide-us",
        "card/suicide-us",
        "card/suicide-worried",
    )
    assert card("other", "GB") == "card/suicide-any"
    assert card("self", language="es") == "minimum/crisis"  # Spanish words before an English card
    assert card("self", language="fr") == "card/suicide-us"


def test_again_lines_rotate_and_are_no_card(folder):
    folder.card()
    library = folder.load()
    lines = [library.again("suicide", about="self", language="en", channel="web", turn=n) for n in range(4)]
    assert [line.text for line in lines][:3] == ["Call or text 988.", "The line is 988.", "In danger, call 911."]
    assert lines[3].text == lines[0].text
    assert lines[0].html == "<p>Call or text 988.</p>"
    assert not any(line.card or line.choices for line in lines)
    assert library.card("suicide", about="self", language="en", channel="web").card


@pytest.mark.parametrize("category", [*GROUPS, "something_new"])
@pytest.mark.parametrize("channel", ["web", "sms"])
@pytest.mark.parametrize("country", ["US", "GB", None])
def test_a_category_without_a_card_gets_the_minimum(tmp_path, category, channel, country):
    library = Library([], None, country, [], {})
    card = library.card(category, about="unclear", language="en", channel=channel)
    again = library.again(category, about="unclear", language="en", channel=channel, turn=3)
    assert card.card
    assert bool(card.html) == (channel == "web")
    for text in (card.text, again.text):
        assert ("988" in text or "911" in text) == (country == "US")
        assert country == "US" or "emergency number where you are" in text


def test_labels_lines_and_bar_come_from_signed_files(folder):
    folder.item("ui/widget", fits="[web]", sms="", labels="{hotline_call: Call, hotline_text: Text, left: '{seconds}'}")
    library = folder.load()
    assert library.labels("es")["left"] == "{seconds}"
    assert library.bar("en") == [
        {"label": "Call 911", "href": "tel:911"},
        {"label": "Call 988", "href": "tel:988"},
        {"label": "Text 988", "href": "sms:988"},
    ]
    assert [line["id"] for line in library.lines()] == ["us/911", "us/988"]
    assert folder.load("GB").bar("en") == [{"label": "findahelpline.com", "href": "https://findahelpline.com"}]
    assert folder.load("GB").lines()[0]["call"] is None


def test_an_old_signed_text_does_not_come_back(folder):
    file = folder.item("craving/surf")
    old = (folder.path / file).read_bytes()
    folder.item("craving/surf", text="Newer words.")
    (folder.path / file).write_bytes(old)
    assert folder.load().problems[0].what == "is not served: altered"


def test_a_forged_ledger_line_does_not_count(folder):
    file = folder.item("craving/surf", signed=False)
    folder.item("craving/walk")
    ledger = folder.path / "reviews.jsonl"
    entry = json.loads(ledger.read_text().splitlines()[-1])
    library = folder.load()
    entry |= {"item": "craving/surf", "sha256": sha256((folder.path / file).read_bytes()).hexdigest()}
    ledger.write_text(ledger.read_text() + json.dumps(entry) + "\n")
    assert served(folder.load()) == served(library) == {("craving/walk", "en")}
