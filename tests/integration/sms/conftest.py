"""A desk with a phone number, at a hand-written Twilio."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import desk_on
from tests.fakes import FakeTwilio
from tests.phone import Phone, settings_for
from tests.stack import DeskThread, free_port


@pytest.fixture(scope="module")
def twilio() -> Iterator[FakeTwilio]:
    provider = FakeTwilio(free_port())
    yield provider
    provider.stop()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def texting_desk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, twilio: FakeTwilio
) -> Iterator[DeskThread]:
    with desk_on(request, tmp_path_factory.mktemp("sms"), **settings_for(twilio)) as desk:
        yield desk


@pytest.fixture
def desk(texting_desk: DeskThread, twilio: FakeTwilio) -> DeskThread:
    texting_desk.rasa.reset()
    twilio.reset()
    twilio.clock = texting_desk.parts.desk._clock
    clear = "update outbox set state = 'delivered'"  # what earlier tests left is none of this one's
    texting_desk.parts.database.call(lambda session: session.connection().exec_driver_sql(clear))
    return texting_desk


@pytest.fixture
def phone(desk: DeskThread) -> Phone:
    return Phone(desk)
