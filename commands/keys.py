"""The command about keys: which credentials there are, which are missing, which a provider refuses."""

from __future__ import annotations

import typer
from sqlalchemy.exc import SQLAlchemyError

from commands.terminal import CREDENTIALS, OK, Json, err, open_context, out, print_json
from ingest import providers
from ingest.errors import FixRequest
from ingest.pipeline.context import Context
from ingest.pipeline.credentials import Evidence, credential_list, evidence
from local.shown_keys import key_row, keys_table

keys = typer.Typer()


@keys.command("keys")
def list_keys(as_json: Json = False) -> None:
    """List the providers' credentials: present, missing or refused, and where to get one. Never their values.

    Ends with 4 if a series that is followed can't be fetched for want of one.
    """
    context = open_context()
    known = _known(context)
    found = credential_list(context.settings, [providers.get(name).facts for name in providers.names()], known)
    if as_json:
        print_json([key_row(one) for one in found])
    else:
        out.print(keys_table(found), soft_wrap=True)
    raise typer.Exit(CREDENTIALS if any(one.needed for one in found) else OK)


def _known(context: Context) -> Evidence:
    """Return what the farm knows; nothing, said so, where there is no database to ask: keys come before servers."""
    try:
        with context.sessions() as session:
            return evidence(session)
    except FixRequest:
        err.print("no database is set or running: which keys are refused is not known", soft_wrap=True)
    except SQLAlchemyError as error:
        why = str(error).splitlines()[0]
        err.print(f"the database can't be asked: which keys are refused is not known ({why})", soft_wrap=True)
    return Evidence()
