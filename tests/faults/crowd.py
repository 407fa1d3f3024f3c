"""Readers that say nothing and subscribers that take nothing, many of each, in one process.

    python -m tests.faults.crowd ADDRESS --readers 500 --subscribers 50

There must be alerts. Prints `there` once all are connected, then waits for the end of its input.
Reader n is `idle-n`.
At the end it prints one JSON object: how many streams of readers are still open, with which status
codes the subscribers ended once they read again, and the positions of the alerts they were sent.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from typing import Any
from uuid import uuid4

import grpc.aio

from proto.ring.v1 import alert_pb2, alert_pb2_grpc, ingest_pb2, ingest_pb2_grpc

# Small, so that what a subscriber does not take waits in the server, not on the way.
SMALL = [("grpc.http2.lookahead_bytes", 65_535), ("grpc.http2.bdp_probe", 0)]


async def idle(channel: grpc.aio.Channel, number: int) -> Any:
    """A stream that has said hello, and nothing more."""
    call = ingest_pb2_grpc.IngestServiceStub(channel).StreamReads()
    hello = ingest_pb2.ReaderHello(reader_id=f"idle-{number}", epoch=str(uuid4()))
    await call.write(ingest_pb2.StreamReadsRequest(hello=hello))
    await call.read()
    return call


async def rest(call: Any, first: Any) -> tuple[list[int], str]:
    """Takes all that is left after the first: the alerts' positions, and how it ended."""
    positions = [first.alert.position.position]
    try:
        while (message := await call.read()) is not grpc.aio.EOF:
            if message.HasField("alert"):
                positions.append(message.alert.position.position)
    except grpc.aio.AioRpcError as error:
        return positions, error.code().name
    return positions, "OK"


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--readers", type=int, required=True)
    parser.add_argument("--subscribers", type=int, required=True)
    given = parser.parse_args()
    # Each subscriber has a connection of its own, as on machines of their own.
    channels = [
        grpc.aio.insecure_channel(given.address, [*SMALL, ("grpc.use_local_subchannel_pool", 1)])
        for _ in range(given.subscribers)
    ]
    subscribed = []
    for channel in channels:
        stub = alert_pb2_grpc.AlertServiceStub(channel)
        call = stub.Subscribe(alert_pb2.SubscribeRequest(from_beginning=True))
        subscribed.append((call, await call.read()))
    one = grpc.aio.insecure_channel(given.address)
    calls = [await idle(one, number) for number in range(given.readers)]
    print("there", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    ended = [await asyncio.wait_for(rest(*one), 60) for one in subscribed]
    said = {
        "readers": sum(not call.done() for call in calls),
        "ended": Counter(code for _, code in ended),
        "taken": [positions for positions, _ in ended],
    }
    print(json.dumps(said), flush=True)
    for call in calls:
        call.cancel()
    for channel in (*channels, one):
        await channel.close()


if __name__ == "__main__":
    asyncio.run(main())
