"""The server's settings: environment variables with the prefix RING_, read here alone."""

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What may be set. Command-line options of `server.py` come first."""

    model_config = SettingsConfigDict(env_prefix="RING_", extra="ignore")

    # sqlite:///PATH; default: events.sqlite in the data folder
    event_store: str = ""
    # MiB that an event store on SQLite may take; 0: as the disk has
    event_store_max_mib: int = Field(default=0, ge=0)
    # chdb:///PATH; default: clickhouse in the data folder
    clickhouse: str = ""
    # name of a cluster of ClickHouse servers that the read side is spread over; empty: one server
    clickhouse_cluster: str = ""
    # IANA name: the zone of people's days
    time_zone: str = "UTC"
    # who entered longer ago is presumed to have left
    max_visit: timedelta = timedelta(hours=72)
    # how far making hotlist entries live looks back, where the import does not say; 0: not at all
    look_back: timedelta = Field(default=timedelta(days=31), ge=timedelta())
    # sightings of a vehicle under one entry that are further apart are two incidents
    incident_gap: timedelta = Field(default=timedelta(hours=6), gt=timedelta())
    # how often an alert that a webhook refuses is tried before it is a dead letter
    webhook_attempts: int = Field(default=10, ge=1)
    # after the first attempt; twice as long after each further one, at most five minutes
    webhook_pause: timedelta = Field(default=timedelta(seconds=1), gt=timedelta())
    # how long a webhook that can't be reached is waited for
    webhook_give_up: timedelta = Field(default=timedelta(days=1), ge=timedelta())
    # a reader not heard for longer is noted as silent
    reader_silence: timedelta = timedelta(minutes=5)
    # a subscriber that takes nothing for longer is ended, and may resume; dry runs and replays too
    subscriber_patience: timedelta = timedelta(seconds=30)

    # HOST:PORT where Prometheus finds /metrics; empty: nowhere
    metrics: str = ""

    @field_validator("look_back", mode="before")
    @classmethod
    def _nothing(cls, value: object) -> object:
        # Elsewhere a duration without a unit is none.
        return timedelta() if value == "0" else value

    @field_validator("metrics")
    @classmethod
    def _an_address(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if value and not (host and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(f"{value!r} is not HOST:PORT")
        return value

    def metrics_address(self) -> tuple[str, int]:
        """HOST and PORT of `metrics`."""
        host, _, port = self.metrics.rpartition(":")
        return host.strip("[]"), int(port)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(
                f"{value!r} is not a time zone: use an IANA name such as "
                "America/Argentina/Buenos_Aires"
            ) from None
        return value

    def event_store_in(self, data: Path) -> str:
        """The DSN of the event store."""
        return self.event_store or f"sqlite:///{data / 'events.sqlite'}"

    def clickhouse_in(self, data: Path) -> str:
        """The DSN of ClickHouse."""
        return self.clickhouse or f"chdb:///{data / 'clickhouse'}"
