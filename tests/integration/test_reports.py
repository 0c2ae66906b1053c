"""The reports: numbers that outlive what they count, nobody in them, small ones withheld; on screen and as files."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from bot.cli import app
from tests.counselors import CRISIS, Counselor, in_crisis, make
from tests.stack import DeskThread

NUMBERS = iter(range(10_000))
OTHER_CRISIS = "my friend overdosed and won't wake up"


def new(desk: DeskThread, role: str) -> Counselor:
    return make(desk, f"{role}-r{next(NUMBERS)}", role).sign_in()


@pytest.fixture
def desk(shared_desk: DeskThread) -> DeskThread:
    """The shared desk with nothing counted yet."""
    shared_desk.rasa.reset()
    shared_desk.parts.desk._clock.moved = timedelta()

    def empty(session):  # type: ignore[no-untyped-def]
        for statement in ("delete from counters", "delete from flags"):
            session.connection().exec_driver_sql(statement)

    shared_desk.parts.database.call(empty)
    return shared_desk


def file_of(reader: Counselor, desk: DeskThread, format: str = "csv") -> str:
    period = desk.parts.desk.now().strftime("%Y-%m")
    answer = reader.do("/reports/file", period=period, format=format)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].endswith(f'handrail-{period}.{format}"')
    return answer.text


def numbers(text: str) -> dict[tuple[str, str], str]:
    return {(row["table"], row["label"]): row["number"] for row in csv.DictReader(io.StringIO(text))}


def test_flags_outcomes_waits_and_content_are_counted(desk: DeskThread) -> None:
    counselor, lead, clock = new(desk, "counselor"), new(desk, "lead"), desk.parts.desk._clock
    people = [in_crisis(desk) for _ in range(6)]
    others = [desk.person() for _ in range(5)]
    for person in others:
        assert person.say(OTHER_CRISIS)[0]["card"]
        person.say("i want to use so bad")
    clock.moved += timedelta(seconds=600)
    for person in people:
        counselor.act(person, "claim")
        counselor.act(person, "close", outcome="reached")
    for person in others:
        counselor.act(person, "close", outcome="hotline")
    clock.moved = timedelta()
    found = numbers(file_of(lead, desk))
    assert found["flags_by_category", "suicide"] == "6"
    assert found["flags_by_category", "overdose"] == "5"
    assert found["flags_by_category", "total"] == "11"
    assert found["flags_by_channel", "web"] == "11"
    assert found["flags_by_day", desk.parts.desk.now().date().isoformat()] == "11"
    assert found["outcomes", "reached"] == "6"
    assert found["outcomes", "hotline"] == "5"
    assert found["wait_crisis", "flags"] == "6"
    assert 598 <= int(found["wait_crisis", "median"]) <= 900
    assert ("wait_crisis", "p90") not in found, "too few for it"
    assert found["heard_by", "guard"] == "11"
    assert found["cards", "overdose"] == "5"
    as_json = json.loads(file_of(lead, desk, "json"))
    assert as_json["tables"]["flags_by_category"]["total"] == 11
    page = lead.client.get("/console/reports").text
    assert "<svg" in page
    assert " style=" not in page
    for words in (CRISIS, OTHER_CRISIS, people[0].conversation, others[0].conversation):
        assert words not in page
        assert words not in str(found)
    before = found
    for person in people + others:
        person.client.delete("/api/me", headers=person.headers)
    after = numbers(file_of(lead, desk))
    kept = {key: value for key, value in before.items() if not key[0].startswith("wait_")}
    assert {key: value for key, value in after.items() if not key[0].startswith("wait_")} == kept


def test_small_numbers_are_withheld_everywhere(desk: DeskThread) -> None:
    lead = new(desk, "lead")
    in_crisis(desk)
    found = numbers(file_of(lead, desk))
    assert found["flags_by_category", "withheld"] == "withheld"
    assert ("flags_by_category", "total") not in found
    assert not {number for number in found.values()} & {"1", "2", "3", "4"}
    assert "Too few to show." in lead.client.get("/console/reports").text


def test_rasas_net_and_what_helped_are_counted(desk: DeskThread) -> None:
    desk.rasa.answer = {"references": [], "intent": "crisis_self_harm", "confidence": 0.99}
    for _ in range(5):
        assert desk.person().say("something nobody expected")[0]["card"]
    found = numbers(file_of(new(desk, "auditor"), desk))
    assert found["heard_by", "rasa_only"] == "5"
    assert found["missed_by_guard", "self_harm"] == "5"


def test_reports_are_for_leads_and_auditors_and_saving_one_is_in_the_audit(desk: DeskThread) -> None:
    counselor, auditor = new(desk, "counselor"), new(desk, "auditor")
    assert counselor.client.get("/console/reports").status_code == 403
    assert counselor.do("/reports/file", period="2026", format="csv").status_code == 403
    assert auditor.client.get("/console/reports", params={"period": "2026"}).status_code == 200
    assert auditor.client.get("/console/reports", params={"period": "'; drop"}).status_code == 422
    assert auditor.do("/reports/file", period="2026", format="xls").status_code == 422
    file_of(auditor, desk)
    page = auditor.client.get("/console/audit", params={"counselor": auditor.name, "action": "export"}).text
    assert "<td>report</td>" in page


def test_the_referrals_of_a_year_have_a_total_and_nobody_in_them(
    desk: DeskThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDRAIL_HOME", str(desk.settings.home))
    monkeypatch.setenv("HANDRAIL_DATABASE_URL", desk.settings.database_url)
    year = str(desk.parts.desk.now().year)
    people = [in_crisis(desk) for _ in range(2)]
    people[0].say("i want to use so bad")  # its answer ends with the line to call
    result = CliRunner().invoke(app, ["report", "referrals", "--year", year])
    assert result.exit_code == 0, result.output
    said = json.loads(result.output)
    assert said["crisis_referral_notifications"] == 3
    assert (said["hotline_cards"], said["lines_with_the_number"]) == (2, 1)
    assert said["hotline_cards_by_language_heard"] == "withheld"
    assert people[0].conversation not in result.output
    empty = CliRunner().invoke(app, ["report", "referrals", "--year", "2020"])
    assert json.loads(empty.output)["crisis_referral_notifications"] == 0
    assert (
        "crisis_referral_notifications,,3"
        in CliRunner().invoke(app, ["report", "referrals", "--year", year, "--format", "csv"]).output
    )
    shown = CliRunner().invoke(app, ["report", "period", year, "--format", "json"])
    assert json.loads(shown.output)["period"] == year
    assert CliRunner().invoke(app, ["report", "period", "soon"]).exit_code != 0
