-- Passages by the quarter of an hour of their first read, in a range of time, of some checkpoints'
-- quarters (keys) or of all (whole): a read begins one where the same plate was not read at that checkpoint and direction in the 60 s before.
SELECT checkpoint, quarter, groupArray((lane, way, passages))
FROM
(
    SELECT
        checkpoint, intDiv(start.1, 900000000) AS quarter, start.2 AS lane,
        toInt8(direction) AS way, toUInt32(count()) AS passages
    FROM
    (
        SELECT
            checkpoint, direction,
            arrayJoin(arrayFilter(
                (read, before) -> read.1 > before.1 + 60000000,
                reads,
                arrayPopBack(arrayPushFront(reads, (toInt64(-60000001), '')))
            )) AS start
        FROM
        (
            SELECT
                checkpoint, direction,
                arraySort(groupUniqArray((toUnixTimestamp64Micro(captured_at), toString(lane)))) AS reads
            FROM sightings_by_checkpoint
            WHERE captured_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC') - toIntervalSecond(60)
                AND captured_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
                AND (empty({checkpoints:Array(String)}) OR checkpoint IN {checkpoints:Array(String)})
                AND (
                    {whole:Bool}
                    OR (checkpoint, intDiv(toUnixTimestamp64Micro(captured_at), 900000000))
                        IN {keys:Array(Tuple(String, Int64))}
                    OR (checkpoint, intDiv(toUnixTimestamp64Micro(captured_at) + 60000000, 900000000))
                        IN {keys:Array(Tuple(String, Int64))}
                )
            GROUP BY checkpoint, direction, plate
        )
    )
    WHERE ({whole:Bool} OR (checkpoint, quarter) IN {keys:Array(Tuple(String, Int64))})
        AND start.1 >= {start:Int64} AND start.1 < {end:Int64}
    GROUP BY checkpoint, quarter, lane, way
)
GROUP BY checkpoint, quarter;
