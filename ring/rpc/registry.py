"""RegistryService: checkpoints and readers."""

import asyncio
from collections.abc import Callable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1 import registry_pb2 as pb
from proto.ring.v1 import registry_pb2_grpc
from ring.application import Imported, Ring
from ring.directory import Directory
from ring.reader import Reader
from ring.rpc.clock import now
from ring.rpc.readers import Readers


class RegistryService(registry_pb2_grpc.RegistryServiceServicer):
    """The servicer. `on_revoke` ends the streams of a reader."""

    def __init__(
        self, ring: Ring, directory: Directory, readers: Readers, on_revoke: Callable[[str], None]
    ) -> None:
        self._ring = ring
        self._directory = directory
        self._readers = readers
        self._on_revoke = on_revoke

    async def ImportCheckpoints(  # noqa: N802
        self, request: pb.ImportCheckpointsRequest, context: Any
    ) -> pb.ImportResponse:
        """Registers and moves."""
        return await self._import(self._ring.import_checkpoints, request.checkpoints)

    async def ImportReaders(  # noqa: N802
        self, request: pb.ImportReadersRequest, context: Any
    ) -> pb.ImportResponse:
        """Registers and assigns."""
        return await self._import(self._ring.import_readers, request.readers)

    async def _import(
        self, command: Callable[[Any, Timestamp], Imported], rows: Any
    ) -> pb.ImportResponse:
        imported = await asyncio.to_thread(command, rows, now())
        await asyncio.to_thread(self._directory.catch_up)
        return pb.ImportResponse(
            added=imported.added,
            changed=imported.changed,
            unchanged=imported.unchanged,
            rejected=[pb.RejectedRow(row=row, reason=why) for row, why in imported.rejected],
        )

    async def RevokeReader(  # noqa: N802
        self, request: pb.RevokeReaderRequest, context: Any
    ) -> pb.Reader:
        """Refuses a reader, now."""
        reader = await asyncio.to_thread(
            self._ring.revoke_reader, request.reader_id, request.reason, now()
        )
        await asyncio.to_thread(self._directory.catch_up)
        self._on_revoke(reader.reader_id)
        return self._message(reader)

    async def ListCheckpoints(  # noqa: N802
        self, request: pb.ListCheckpointsRequest, context: Any
    ) -> pb.ListCheckpointsResponse:
        """In order of code."""
        await asyncio.to_thread(self._directory.catch_up)
        places = [c.place for _, c in sorted(self._directory.checkpoints.items())]
        return pb.ListCheckpointsResponse(
            checkpoints=[
                pb.Checkpoint(
                    code=p.code,
                    name=p.name,
                    latitude=p.latitude,
                    longitude=p.longitude,
                    zone=p.zone,
                )
                for p in places
            ]
        )

    async def ListReaders(  # noqa: N802
        self, request: pb.ListReadersRequest, context: Any
    ) -> pb.ListReadersResponse:
        """In order of id."""
        await asyncio.to_thread(self._directory.catch_up)
        readers = [reader for _, reader in sorted(self._directory.readers.items())]
        return pb.ListReadersResponse(readers=[self._message(reader) for reader in readers])

    def _message(self, reader: Reader) -> pb.Reader:
        place = reader.assignment
        return pb.Reader(
            reader_id=reader.reader_id,
            checkpoint=place.checkpoint,
            lane=place.lane,
            direction=place.direction,
            revoked=reader.revoked,
            health=self._readers.of(reader.reader_id),
        )
