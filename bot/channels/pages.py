"""The pages a website visitor can open: the demo page, the static hotline page, and the widget's script."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, select_autoescape

from bot.channels.web import LANGUAGES
from bot.content import Library
from bot.settings import Settings

HERE = Path(__file__).parent
CACHED = "public, max-age=3600, stale-while-revalidate=86400, stale-if-error=604800"


def create_router(settings: Settings, library: Library) -> APIRouter:
    """Return the pages' routes. Everything is rendered once; `/help` and `/widget.js` need no database and no Rasa."""
    router = APIRouter(include_in_schema=False)
    templates = Environment(loader=FileSystemLoader(HERE / "pages"), autoescape=select_autoescape())
    script = widget_script(settings, library).encode()
    stylesheet = (HERE / "pages" / "pages.css").read_bytes()

    def page(name: str, request: Request) -> HTMLResponse:
        language = request.query_params.get("language", LANGUAGES[0])
        language = language if language in LANGUAGES else LANGUAGES[0]
        nonce = secrets.token_urlsafe(12)
        html = templates.get_template(name).render(
            language=language,
            labels=library.labels(language),
            lines=library.lines(language),
            nonce=nonce,
            mode=settings.mode,
        )
        return HTMLResponse(html, headers={"Content-Security-Policy": _policy(nonce), "Cache-Control": "no-cache"})

    @router.get("/")
    async def demo(request: Request) -> HTMLResponse:
        return page("demo.html", request)

    @router.get("/help")
    async def help_page(request: Request) -> HTMLResponse:
        return page("help.html", request)

    @router.get("/widget.js")
    async def widget() -> Response:
        return Response(script, media_type="text/javascript", headers={"Cache-Control": CACHED})

    @router.get("/pages.css")
    async def styles() -> Response:
        return Response(stylesheet, media_type="text/css", headers={"Cache-Control": CACHED})

    return router


def widget_script(settings: Settings, library: Library) -> str:
    """Return `widget.js`: the configuration, with a card that works when nothing else does, then the plain modules."""
    config = {
        "country": settings.country or None,
        "mode": settings.mode,
        "languages": {language: _language(library, language) for language in LANGUAGES},
    }
    written = json.dumps(config, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    modules = sorted((HERE / "widget").glob("*.js"))
    return f"window.HANDRAIL_CONFIG = {written};\n" + "\n".join(module.read_text() for module in modules)


def _language(library: Library, language: str) -> dict[str, Any]:
    card = library.fallback(language, "web")
    return {
        "labels": library.labels(language),
        "bar": library.bar(language),
        "card": {"text": card.text, "html": card.html},
    }


def _policy(nonce: str) -> str:
    return (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
