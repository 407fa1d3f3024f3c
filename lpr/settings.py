"""The reader's settings, all from the environment, all with the prefix LPR_.

Always true here: this is the only module that reads the environment, and every setting has a
default that works on a machine of its own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lpr.errors import LprError

Region: TypeAlias = tuple[tuple[float, float], ...]
"""A polygon: x and y of its corners, as shares of a picture's width and height."""


def _data_home() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "lpr"


class Settings(BaseSettings):
    """Field `ocr_model` is LPR_OCR_MODEL, and so on."""

    model_config = SettingsConfigDict(env_prefix="LPR_", extra="ignore")

    server: str = "127.0.0.1:50051"
    """HOST:PORT of the ring."""
    tls: bool = False
    """Whether to speak TLS to a server whose certificate everybody trusts."""
    tls_ca: Path | None = None
    """PEM file of who signed the server's certificate; means TLS."""
    tls_certificate: Path | None = None
    """PEM file of the reader's own certificate, for a server that asks; means TLS."""
    tls_key: Path | None = None
    """PEM file of its key."""
    reader: str = ""
    """The reader's id, where --reader is not given."""
    lane: str = ""
    """Sent with each read; empty: the lane the reader is registered for."""
    spool: Path = Field(default_factory=_data_home)
    """Folder of the spools; each reader's is the folder of its id inside."""
    spool_picture_mib: int = Field(default=512, ge=1)
    """MiB that waiting pictures may take; beyond it the oldest go, reads never."""

    spool_max_mib: int = Field(default=0, ge=0)
    """MiB that a spool's file may take, pictures and reads; 0: as many as the disk has."""

    metrics: str = ""
    """HOST:PORT where Prometheus metrics are served under /metrics; empty: nowhere."""
    log: Literal["auto", "json", "text"] = "auto"
    """Logs on stderr: JSON lines, plain text, or by whether stderr is a terminal."""

    ocr_model: str = "auto"
    """auto, a hub model's name, or the path of an ONNX model or of its folder."""
    ocr_fetch: bool = True
    """Whether `auto` may fetch the hub's best model where it is not cached."""
    countries: Annotated[tuple[str, ...], NoDecode] = ()
    """Countries (ISO 3166-1 alpha-2) whose plates are usual here; none: all whose formats are
    known. Other plates are read too."""
    detector_model: Path | None = None
    """Another ONNX detector with our detector's output."""
    detector_threshold: float = Field(default=0.3, ge=0, le=1)
    """The detector's score a box must have."""
    picture_sides: Annotated[tuple[int, ...], NoDecode] = (400, 960)
    """Pixels of the longer side at which a picture is looked at, a pass each."""
    video_sides: Annotated[tuple[int, ...], NoDecode] = (640,)
    """The same for frames of a video or camera."""
    places: int = Field(default=10, ge=1, le=10)
    """Places in a picture that the OCR reads, best first: fewer let vehicles go unread."""
    min_confidence: float = Field(default=0.3, ge=0, le=1)
    """Under it, what was read is no read."""
    min_length: int = Field(default=4, ge=2, le=12)
    """Characters a plate has at least."""
    letters_only: bool = False
    """Whether letters alone are as good as any text (else taken for a sign where in doubt)."""
    threads: int = Field(default=2, ge=1)
    """Threads of each model and of OpenCV."""

    regions_of_interest: Annotated[tuple[Region, ...], NoDecode] = ()
    """Parts of the picture in which plates count, as shares of it: `x,y x,y` the corners of a box,
    more points a polygon, `;` between several; empty: everywhere."""
    direction: Literal["", "entry", "exit", "by-movement"] = ""
    """Direction that reads of videos and cameras carry; empty: as the reader is registered."""
    entry_moves: Literal["towards", "away", "down", "up", "left", "right"] = "towards"
    """With by-movement: how vehicles that enter go in the picture."""

    frames_per_second: float = Field(default=15.0, gt=0)
    """Frames of a video or camera that are looked at, at most."""
    gap_seconds: float = Field(default=0.7, gt=0)
    """A vehicle not seen for so long has left."""
    longest_seconds: float = Field(default=8.0, gt=0)
    """A vehicle that stays is read after so long, once."""
    repeat_seconds: float = Field(default=10.0, ge=0)
    """The same plate again within so long is the same vehicle."""

    @field_validator("metrics")
    @classmethod
    def _address(cls, given: str) -> str:
        host, _, port = given.rpartition(":")
        if given and not (host and port.isascii() and port.isdigit() and int(port) < 65536):
            raise ValueError("write it as HOST:PORT, for example 127.0.0.1:9464")
        return given

    @field_validator("countries", mode="before")
    @classmethod
    def _countries(cls, given: object) -> object:
        if isinstance(given, str):
            return tuple(part.strip().upper() for part in given.split(",") if part.strip())
        return given

    @field_validator("regions_of_interest", mode="before")
    @classmethod
    def _regions(cls, given: object) -> object:
        return _polygons(given) if isinstance(given, str) else given

    @field_validator("picture_sides", "video_sides", mode="before")
    @classmethod
    def _sides(cls, given: object) -> object:
        if isinstance(given, str):
            given = tuple(int(part) for part in given.split(","))
        if isinstance(given, tuple) and not all(64 <= side <= 4096 for side in given):
            raise ValueError("sides are 64 to 4096 pixels, with commas between")
        return given


def _polygons(text: str) -> tuple[Region, ...]:
    regions = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        points: list[tuple[float, float]] = []
        for pair in part.split():
            x, _, y = pair.partition(",")
            points.append((float(x), float(y)))
        if len(points) < 2 or not all(0 <= share <= 1 for point in points for share in point):
            raise ValueError(
                "write x,y x,y (two corners of a box) or x,y x,y x,y (a polygon), as shares of "
                "the picture from 0 to 1, with ; between several"
            )
        if len(points) == 2:
            (left, top), (right, bottom) = points
            points = [(left, top), (right, top), (right, bottom), (left, bottom)]
        regions.append(tuple(points))
    return tuple(regions)


def load() -> Settings:
    """The settings, or one line that names the first one that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "LPR_" + "_".join(str(part) for part in first["loc"]).upper()
        raise LprError(f"the setting {name} is wrong: {first['msg']}") from error
