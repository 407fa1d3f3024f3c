"""What the environment says to the `ring` command. Nothing else in it reads the environment.

RING_SERVER     HOST:PORT of the server (127.0.0.1:50051)
RING_TIME_ZONE  IANA zone of people's days, and of times given without a zone (UTC)
RING_CASE       case number for investigations, where --case is not given
RING_REASON     reason for investigations, where --reason is not given
RING_AGENCY     on whose behalf, where --as is not given (nobody's: every role)
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from pydantic import ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ring.cli.failure import CommandError


class Settings(BaseSettings):
    """The command's settings; every one has a default that works on one machine."""

    model_config = SettingsConfigDict(env_prefix="RING_", extra="ignore")

    server: str = "127.0.0.1:50051"
    time_zone: str = "UTC"
    case: str = ""
    reason: str = ""
    agency: str = ""

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:  # OSError: a folder of the database
            raise ValueError(f"no time zone is called {name!r}") from error
        return name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


def load() -> Settings:
    """The settings as the environment has them. Raises CommandError where one is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "RING_" + str(first["loc"][0]).upper()
        what = str(first["msg"]).removeprefix("Value error, ")
        hint = "use an IANA name such as America/Argentina/Buenos_Aires"
        raise CommandError(
            f"{name}: {what}" + (f"; {hint}" if name == "RING_TIME_ZONE" else "")
        ) from error
