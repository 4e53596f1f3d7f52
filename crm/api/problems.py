"""Answers of the API: JSON documents, and problems as RFC 9457 has them. It knows no entity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

from flask import Response
from werkzeug.exceptions import HTTPException

PROBLEM_TYPE = "application/problem+json"


class Problem(Exception):
    """The request can't be done; `detail` says why and what to do, `errors` names the fields of a 422,
    `more` are members of this kind of problem alone."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.errors = {name[:100]: sentence for name, sentence in (errors or {}).items()}
        self.headers = dict(headers or {})
        self.more = dict(more or {})


def wrong(errors: Mapping[str, str], detail: str = "Some values can't be taken.") -> Problem:
    return Problem(422, detail, errors=errors)


def not_allowed(allow: str) -> Problem:
    return Problem(405, f"Only {allow} can be used here.", headers={"Allow": allow})


def answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer. Documents belong to the one who asked, so no shared cache may keep them."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return answer_text(body, status, headers)


def answer_text(body: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    response = Response(body, status, mimetype="application/json")
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers.update(headers or {})
    return response


def problem_response(problem: Problem | HTTPException) -> Response:
    """Any refusal as a problem document; also for what Flask itself refuses (405, 413 …)."""
    if isinstance(problem, HTTPException):
        if (problem.code or 500) < 400:
            return cast(Response, problem.get_response())  # a redirect of the router is no problem
        allow = {name: value for name, value in problem.get_headers() if name in ("Allow", "Retry-After")}
        problem = Problem(problem.code or 500, problem.description or "", headers=allow)
    try:
        title = HTTPStatus(problem.status).phrase
    except ValueError:
        title = "Error"
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.errors:
        document["errors"] = problem.errors
    body = json.dumps(document | problem.more)  # ASCII only: a refused text may hold what UTF-8 can't
    headers = {"Cache-Control": "no-store"} | problem.headers
    return Response(body, problem.status, headers, content_type=PROBLEM_TYPE)
