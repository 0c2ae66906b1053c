"""Stock Rasa's own Twilio channel, served alone: `.venv/rasa/bin/python benchmarks/stock_texting.py PORT PROVIDER_URL`.

The channel is Rasa's, unchanged; behind it a stand-in answers every message with one text, so that nothing is trained.
GET /heard says what reached it. Only the address of the provider's API is changed. Python 3.10; imports no Handrail.
"""

from __future__ import annotations

import sys
from typing import Any

from rasa.core.channels.twilio import TwilioInput
from sanic import Sanic, response
from twilio.http.http_client import TwilioHttpClient

REPLY = "Cravings come in waves. Most of them rise, peak and pass within minutes."


def main(port: int, provider_url: str) -> None:
    request = TwilioHttpClient.request

    def redirected(self: Any, method: str, url: str, *arguments: Any, **named: Any) -> Any:
        return request(self, method, url.replace("https://api.twilio.com", provider_url, 1), *arguments, **named)

    TwilioHttpClient.request = redirected
    heard: list[str] = []

    async def answer(message: Any) -> None:
        heard.append(str(message.text))
        await message.output_channel.send_text_message(message.sender_id, REPLY)

    app = Sanic("stock")
    app.blueprint(TwilioInput("AC" + "0" * 32, "a-token", "+15550100000").blueprint(answer), url_prefix="/twilio")

    @app.get("/heard")
    async def say(_: Any) -> Any:
        return response.json(heard)

    app.run(host="127.0.0.1", port=port, motd=False, access_log=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
