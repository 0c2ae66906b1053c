"""The audit: what is in it, what tampering it finds, who reads it, and what a conversation given outside carries."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from bot.cli import app
from bot.errors import HandrailError
from tests.counselors import CRISIS, Counselor, in_crisis, make
from tests.stack import DeskThread

NUMBERS = iter(range(10_000))
LAST = "(select max(id) from audit)"
CUT = f"update audit_head set last_id = last_id - 1, hash = (select hash from audit where id = {LAST})"


def new(desk: DeskThread, role: str = "counselor") -> Counselor:
    return make(desk, f"{role}-a{next(NUMBERS)}", role).sign_in()


@pytest.fixture
def desk(shared_desk: DeskThread) -> DeskThread:
    shared_desk.rasa.reset()
    return shared_desk


def entries(desk: DeskThread, conversation: str) -> list[tuple[str, str]]:
    query = f"select action, detail from audit where conversation_id = '{conversation}' order by id"
    found = desk.parts.database.call(lambda session: session.connection().exec_driver_sql(query).all())
    return [tuple(row) for row in found]


@pytest.mark.parametrize(
    "changes",
    [
        ["update audit set detail = 'reached' where id = 2"],
        ["update audit set counselor_id = 99 where id = 2"],
        ["delete from audit where id = 2"],
        ["delete from audit where id = 1"],
        [f"delete from audit where id = {LAST}"],
        [f"delete from audit where id = {LAST}", CUT],
        ["delete from audit", "update audit_head set last_id = 0, hash = '', seal = null", "select 1"],
        [f"update audit set id = {to} where id = {of}" for of, to in ((1, -1), (2, 1), (-1, 2))],
        [
            "insert into audit select id + 1, at_utc, counselor_id, action, conversation_id, detail, hash, hash "
            f"from audit where id = {LAST}"
        ],
    ],
    ids=["changed", "other counselor", "removed", "first", "last", "last with head", "all", "reordered", "added"],
)
def test_a_changed_audit_is_found(desk: DeskThread, changes: list[str]) -> None:
    new(desk)
    new(desk)
    audit, database = desk.parts.takeover.audit, desk.parts.database
    end, wrong = audit.verify(database)
    assert wrong is None
    found = []

    def tamper(session):  # type: ignore[no-untyped-def]
        for change in changes:
            session.connection().exec_driver_sql(change)
        found.append(audit._verify(session)[1] or audit._verify(session, end)[1])
        raise InterruptedError

    with pytest.raises(InterruptedError):
        database.call(tamper)
    assert found[0] is not None
    assert audit.verify(database)[1] is None


def test_an_older_copy_put_back_is_found_only_by_an_end_noted_elsewhere(desk: DeskThread) -> None:
    audit, database = desk.parts.takeover.audit, desk.parts.database
    new(desk)
    old = database.call(
        lambda s: s.connection().exec_driver_sql("select last_id, hash, seal from audit_head").one(), writes=False
    )
    new(desk)
    end, _ = audit.verify(database)
    said = []

    def put_back(session):  # type: ignore[no-untyped-def]
        number, chained, seal = old
        run = session.connection().exec_driver_sql
        run(f"delete from audit where id > {number}")
        run(f"update audit_head set last_id = {number}, hash = '{chained}', seal = '{seal}'")
        said.extend([audit._verify(session)[1], audit._verify(session, end)[1]])
        raise InterruptedError

    with pytest.raises(InterruptedError):
        database.call(put_back)
    assert said[0] is None, "the database alone cannot know"
    assert "the end noted before" in str(said[1])


def test_the_command_prints_an_end_and_takes_it_back(desk: DeskThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDRAIL_HOME", str(desk.settings.home))
    monkeypatch.setenv("HANDRAIL_DATABASE_URL", desk.settings.database_url)
    new(desk)
    end = CliRunner().invoke(app, ["audit", "verify"]).output.splitlines()[-1]
    assert re.fullmatch(r"\d+:[0-9a-f]{64}", end)
    new(desk)
    assert CliRunner().invoke(app, ["audit", "verify", "--noted", end]).exit_code == 0
    for wrong in (end.partition(":")[0] + ":" + "0" * 64, "99999:" + "0" * 64, "rubbish"):
        result = CliRunner().invoke(app, ["audit", "verify", "--noted", wrong])
        assert isinstance(result.exception, HandrailError), wrong


def test_every_way_to_see_or_change_a_conversation_is_in_the_log(desk: DeskThread) -> None:
    counselor, other, lead, person = new(desk), new(desk), new(desk, "lead"), in_crisis(desk)
    url = f"/console/conversations/{person.conversation}/events?after=0"
    with counselor.client.stream("GET", url) as stream:
        assert any(line == "event: message" for line in stream.iter_lines())
    assert entries(desk, person.conversation) == [("open", "")], "following is reading, page or no page"
    other.read(person)
    lead.read(person)
    counselor.act(person, "claim")
    counselor.act(person, "reply", text="I am here.")
    counselor.act(person, "reviewed", item="coping/step-away")
    counselor.act(person, "export", ground="consent")
    counselor.act(person, "hand-back", check_back="1_hour")
    counselor.act(person, "close", outcome="hotline")
    done = [action for action, _ in entries(desk, person.conversation) if action != "open"]
    assert done == ["claim", "reply", "reply", "export", "hand_back", "close"]


def test_a_conversation_given_outside_carries_the_part_2_notice(desk: DeskThread) -> None:
    counselor, person = new(desk), in_crisis(desk)
    assert counselor.act(person, "export").status_code == 422
    assert counselor.act(person, "export", ground="curiosity").status_code == 422
    answer = counselor.act(person, "export", ground="consent")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    text = answer.text
    assert text.startswith("This record which has been disclosed to you is protected by Federal confidentiality rules")
    assert text.count("42 CFR part 2 prohibits unauthorized use or disclosure of these records.") == 2
    assert "attach a copy of the person's written consent" in text
    assert f"Person (crisis language heard):\n{CRISIS}" in text
    assert "attach a copy" not in counselor.act(person, "export", ground="emergency").text
    assert ("export", "emergency") in entries(desk, person.conversation)
    person.client.delete("/api/me", headers=person.headers)
    assert counselor.act(person, "export", ground="consent").status_code == 404


def test_leads_and_auditors_filter_the_log(desk: DeskThread) -> None:
    counselor, person = new(desk), in_crisis(desk)
    counselor.act(person, "claim")
    counselor.act(person, "close", outcome="hotline")
    assert counselor.client.get("/console/audit").status_code == 403

    def rows(reader: Counselor, **asked: str) -> list[list[str]]:
        answer = reader.client.get("/console/audit", params=asked)
        assert answer.status_code == 200, answer.text
        body = answer.text.partition("<tbody>")[2]
        found = [re.findall(r"<td>(.*?)</td>", row) for row in body.split("<tr>")[1:]]
        return [[re.sub("<[^>]+>", "", cell) for cell in row] for row in found]

    for reader in (new(desk, "lead"), new(desk, "auditor")):
        mine = rows(reader, counselor=counselor.name)
        assert [row[2] for row in mine] == ["close", "claim", "sign in", "account added"]
        assert [row[2] for row in rows(reader, conversation=person.conversation[:12])] == ["close", "claim"]
        assert {row[2] for row in rows(reader, action="sign_in")} == {"sign in"}
        assert rows(reader, counselor=counselor.name, last_day="2020-01-01") == []
        assert len(rows(reader, counselor=counselor.name, first_day="2020-01-01")) == 4
        assert [row[1] for row in rows(reader, counselor=counselor.name, before=mine[1][5])] == [counselor.name] * 2
        for wrong in ({"action": "x"}, {"conversation": "%"}, {"first_day": "yesterday"}):
            assert reader.client.get("/console/audit", params=wrong).status_code == 422


def test_a_hostile_filter_is_only_words(desk: DeskThread) -> None:
    page = new(desk, "lead").client.get("/console/audit", params={"counselor": '"><script>alert(1)</script>'})
    assert "<script>alert" not in page.text
