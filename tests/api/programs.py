"""A program that talks to the API with a key, as the tests of it see one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse


@dataclass
class Program:
    """Sends requests below /api/v1; every refusal it gets must be a problem document."""

    app: Flask
    headers: dict[str, str]
    user_id: int = 0

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        if raw is not None:
            sent = {"Content-Type": "application/json"} | sent
        # A fresh client per request: nothing of one may reach the next.
        answer = self.app.test_client().open(f"/api/v1{path}", method=method, data=raw, headers=sent)
        if answer.status_code >= 400 and method != "HEAD":
            assert answer.content_type == "application/problem+json", answer.get_data(as_text=True)[:500]
            problem = answer.get_json()
            assert problem["status"] == answer.status_code
            assert {"type", "title", "detail"} <= set(problem)
            assert "Traceback" not in problem["detail"]
        return answer

    def get(self, path: str, **headers: str) -> Any:
        answer = self("GET", path, **headers)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.get_json()
