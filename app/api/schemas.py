"""What all request and response models share: strictness, problems, pages, times."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from app.errors import InvalidRequestError

Item = TypeVar("Item")


class RequestModel(BaseModel):
    """A request body: unknown fields and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ResponseModel(BaseModel):
    """A response body."""

    model_config = ConfigDict(from_attributes=True)


class Problem(ResponseModel):
    """An error (RFC 9457): `code` never changes, `advice` says what to do."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    advice: str
    request_id: str
    evidence: dict[str, Any] = {}


class Page(ResponseModel, Generic[Item]):
    """A part of a list; ask again with `cursor=next_cursor` for what follows."""

    items: list[Item]
    next_cursor: str | None


class PageQuery(RequestModel):
    """Which part of a list."""

    limit: int = Field(default=50, ge=1, le=500)
    cursor: str | None = Field(default=None, max_length=200)

    @property
    def after(self) -> str | None:
        """The id behind which the part begins.

        Raises: InvalidRequestError.
        """
        if self.cursor is None:
            return None
        try:
            return base64.b64decode(self.cursor.encode("ascii"), altchars=b"-_", validate=True).decode()
        except (binascii.Error, UnicodeError, ValueError) as error:
            raise InvalidRequestError(
                "The cursor is not one that this service gave.", "Leave it out to begin with the first page."
            ) from error

    def next_cursor(self, ids: list[str]) -> str | None:
        """The cursor behind these ids; None on the last page."""
        if len(ids) < self.limit:
            return None
        return base64.urlsafe_b64encode(ids[-1].encode()).decode()


PageParameters = Annotated[PageQuery, Query()]


def as_time(seconds: float | None) -> datetime | None:
    """A database time as UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
