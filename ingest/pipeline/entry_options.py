"""Schedule entries as options of the command: what `tickfarm schedule add|set` and the dashboard's form take.

Deliberately not here: what an entry may say (entries), the commands. Invariant: what `command_of` returns says the same
as the fields it was given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from shlex import join
from typing import Any, Final

from ingest.errors import FixRequest
from ingest.pipeline.entries import EntrySpec, duration_s

#: option -> the entry's field
OPTIONS: Final[Mapping[str, str]] = {
    "task": "task",
    "every": "schedule",
    "cron": "schedule",
    "timezone": "timezone",
    "offset": "offset",
    "kwargs": "kwargs",
    "lane": "lane",
    "priority": "priority",
    "expires": "expires_s",
    "timeout": "timeout_s",
    "retries": "retries",
    "per_minute": "per_minute",
    "after": "after",
    "overlap": "overlap",
    "catch_up": "catch_up",
    "catch_up_limit": "catch_up_limit",
    "window": "window",
}
#: in the order in which a command says them
_ORDER: Final = list(dict.fromkeys(OPTIONS.values()))
_OPTION_OF: Final = {field: option for option, field in OPTIONS.items() if option not in ("every", "cron")}
#: Fields that an empty text takes away.
_MAY_BE_NONE: Final = {name for name, field in EntrySpec.model_fields.items() if field.default is None}


def fields_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that these options mean; None is one that was not given. Raises FixRequest."""
    if options.get("every") is not None and options.get("cron") is not None:
        raise FixRequest("give --every or --cron, not both")
    fields = {field: options[one] for one, field in OPTIONS.items() if options.get(one) is not None}
    fields = {name: None if value == "" and name in _MAY_BE_NONE else value for name, value in fields.items()}
    if isinstance(fields.get("kwargs"), str):
        fields["kwargs"] = _json_object(fields["kwargs"])
    return fields


def command_of(verb: str, name: str, fields: Mapping[str, Any]) -> str:
    """Return the command that says these fields of an entry, without `tickfarm`."""
    if dict(fields) in ({"enabled": True}, {"enabled": False}):
        return join(["schedule", "resume" if fields["enabled"] else "pause", name])
    words = ["schedule", verb, name]
    for field in sorted(fields, key=lambda field: _ORDER.index(field) if field in _ORDER else len(_ORDER)):
        words += _option(field, fields[field])
    return join(words)


def text_of(value: Any) -> str:
    """Return a field's value as the option has it."""
    match value:
        case None:
            return ""
        case dict():
            return json.dumps(value)
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def fields_of_texts(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields that a form's texts mean. Raises FixRequest that names the field."""
    return {field: _value(field, " ".join(text.split())) for field, text in texts.items()}


def _value(field: str, text: str) -> Any:
    if text == "" and field in _MAY_BE_NONE:
        return None
    kind = _KINDS.get(field)
    try:
        return _json_object(text) if field == "kwargs" else kind(text) if kind is not None else text
    except ValueError:
        raise FixRequest(f"{field}: expected a number, found: {text[:40]!r}") from None


def _yes(text: str) -> bool:
    return text == "True"


#: what a field that is no text is read by
_KINDS: Final[Mapping[str, Callable[[str], Any]]] = {
    "priority": int,
    "retries": int,
    "per_minute": int,
    "catch_up_limit": int,
    "expires_s": float,
    "timeout_s": float,
    "overlap": _yes,
}


def is_period(schedule: str) -> bool:
    """Say whether a cadence is a period, and not cron's fields."""
    try:
        duration_s(schedule)
    except ValueError:
        return False
    return True


def _option(field: str, value: Any) -> list[str]:
    if field == "schedule":
        return ["--every" if is_period(str(value)) else "--cron", str(value)]
    name = _OPTION_OF.get(field, field).replace("_", "-")
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}", text_of(value)]


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise FixRequest(f"--kwargs is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise FixRequest('--kwargs must be a JSON object like {"dataset": "quotes"}')
    return found
