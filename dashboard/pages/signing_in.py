"""Sign in with the token, and out. Invariant: the cookie can't be read by a script and is never sent across sites."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.access import COOKIE, sign_in
from dashboard.templating import render

router = APIRouter()


@router.get("/sign-in")
def show(request: Request) -> Response:
    """Ask for the token."""
    return render(request, "sign_in.html")


@router.post("/sign-in")
def enter(request: Request, token: Annotated[str, Form()], name: Annotated[str, Form()] = "") -> Response:
    """Take the token and the name that acts are written down under."""
    cookie = sign_in(request.app.state.context.settings, token, name)
    answer = RedirectResponse("/", 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=secure)
    return answer


@router.post("/sign-out")
def leave() -> Response:
    """Forget who is there."""
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
