"""The tables of the farm, as SQLAlchemy models. Importing this package registers every one of them."""

from models.actions import Action
from models.alerts import AlertMark
from models.audit import AuditEntry
from models.backfills import Backfill, BackfillJob
from models.bars import Bar
from models.books import Book
from models.dead_letters import DeadLetter
from models.fetch_log import FetchLog
from models.findings import Finding
from models.jobs import IN_FLIGHT, Job
from models.ledger import LedgerDay
from models.ledger_months import LedgerMonth, LedgerRolled
from models.news import Article
from models.observations import Observation
from models.posts import Post
from models.provider_state import ProviderEvent, ProviderHold, ProviderLimit, QuotaUse
from models.quotes import Quote
from models.revisions import Revision
from models.schedule import ScheduleEntry, ScheduleRun
from models.series import Series
from models.session import Base, open_engine
from models.trades import Trade

__all__ = [
    "IN_FLIGHT",
    "Action",
    "AlertMark",
    "Article",
    "AuditEntry",
    "Backfill",
    "BackfillJob",
    "Bar",
    "Base",
    "Book",
    "DeadLetter",
    "FetchLog",
    "Finding",
    "Job",
    "LedgerDay",
    "LedgerMonth",
    "LedgerRolled",
    "Observation",
    "Post",
    "ProviderEvent",
    "ProviderHold",
    "ProviderLimit",
    "QuotaUse",
    "Quote",
    "Revision",
    "ScheduleEntry",
    "ScheduleRun",
    "Series",
    "Trade",
    "open_engine",
]
