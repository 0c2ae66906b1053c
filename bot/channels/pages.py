"""The pages a website visitor can open: the demo page, the static hotline page, and the widget's script."""

from __future__ import annotations

import gzip
import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from jinja2 import Environment, FileSystemLoader, select_autoescape

from bot.channels.web import LANGUAGES
from bot.content import Library
from bot.settings import Settings

HERE = Path(__file__).parent
# A visitor's browser shows the hotlines from its cache while the desk is down: fresh for an hour, then for thirty days
# shown at once and asked for behind it. Only Chromium and Firefox do the second (Safari asks again after the hour).
CACHED = "public, max-age=3600, stale-while-revalidate=2592000, stale-if-error=2592000"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class File:
    """What a browser gets gzipped, and not again while it has it."""

    def __init__(self, text: str, media_type: str, **headers: str) -> None:
        self._body, self._zipped = text.encode(), gzip.compress(text.encode(), 9, mtime=0)
        self._media_type, self._tag = media_type, f'W/"{sha256(self._body).hexdigest()[:20]}"'
        self._headers = {"Cache-Control": CACHED, "ETag": self._tag, "Vary": "Accept-Encoding", **headers}

    def answer(self, request: Request) -> Response:
        if self._tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=self._headers)
        zipped = "gzip" in request.headers.get("accept-encoding", "")
        coding = {"Content-Encoding": "gzip"} if zipped else {}
        return Response(
            self._zipped if zipped else self._body, media_type=self._media_type, headers={**self._headers, **coding}
        )


def create_router(settings: Settings, library: Library) -> APIRouter:
    """Return the pages' routes. They need no database and no Rasa."""
    router = APIRouter(include_in_schema=False)
    templates = Environment(loader=FileSystemLoader(HERE / "pages"), autoescape=select_autoescape())
    script = File(
        widget_script(settings, library), "text/javascript", **{"Cross-Origin-Resource-Policy": "cross-origin"}
    )
    stylesheet = File((HERE / "pages" / "pages.css").read_text(), "text/css")

    def page(name: str, request: Request, **headers: str) -> Response:
        language = request.query_params.get("language", LANGUAGES[0])
        language = language if language in LANGUAGES else LANGUAGES[0]
        html = templates.get_template(name).render(
            language=language,
            labels=library.labels(language),
            lines=library.lines(language),
            bar=library.bar(language),
            mode=settings.mode,
            phone=library.labels(language, "ui/phone") if settings.has_demo_phone else {},
        )
        return File(html, "text/html", **{"Content-Security-Policy": POLICY, **headers}).answer(request)

    @router.get("/")
    async def demo(request: Request) -> Response:
        return page("demo.html", request, **{"Cache-Control": "no-cache"})

    @router.get("/help")
    async def help_page(request: Request) -> Response:
        return page("help.html", request)

    @router.get("/widget.js")
    async def widget(request: Request) -> Response:
        return script.answer(request)

    @router.get("/pages.css")
    async def styles(request: Request) -> Response:
        return stylesheet.answer(request)

    if settings.has_demo_phone:
        phone_script = (HERE / "pages" / "phone.js").read_bytes()

        @router.get("/phone.js")
        async def phone() -> Response:
            return Response(phone_script, media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    return router


def widget_script(settings: Settings, library: Library) -> str:
    """Return `widget.js`: the configuration, with a card that works when nothing else does, then the plain modules."""
    config = {
        "country": settings.country or None,
        "mode": settings.mode,
        "languages": {language: _language(library, language) for language in LANGUAGES},
    }
    written = json.dumps(config, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    modules = "\n".join(module.read_text() for module in sorted((HERE / "widget").glob("*.js")))
    return f"window.HANDRAIL_CONFIG = {written};\n{without_comments(modules)}"


def without_comments(script: str) -> str:
    """Return a script without its indentation and the comments that have lines of their own."""
    script = re.sub(r"^ +", "", script, flags=re.MULTILINE)
    return re.sub(r"^(//.*|/\*\*?[^*]*(\*(?!/)[^*]*)*\*/)\n", "", script, flags=re.MULTILINE)


def _language(library: Library, language: str) -> dict[str, Any]:
    card = library.fallback(language, "web")
    return {
        "labels": library.labels(language),
        "bar": library.bar(language),
        "card": {"text": card.text, "html": card.html},
    }
