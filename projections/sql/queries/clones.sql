-- Reads of one plate, one after the other, that no vehicle could make, and entry after entry. codes:
-- the checkpoints; latitudes and longitudes: of those whose place is known, which come first. Two
-- reads are looked at where they are less than {farthest} microseconds apart, in which the top speed
-- leads from any checkpoint to any other. Reads are taken from {since} on, so much before {start},
-- because the second read of a pair lies in the range, the first maybe before; of a hint both do. A
-- read's time, its checkpoint and its direction are packed into one number, because numbers sort
-- quickly: 47, 15 and 2 bits.
--
-- plates: those alone, without their reads whose clock was wrong and without misreads (log,
-- position); none: every plate, with all reads, because the table in checkpoint order does not know
-- when they were received.
--
-- Rows: plate, the two times, the two checkpoints' numbers, the two directions, metres, km/h, whether
-- no vehicle could make it.
WITH
    {latitudes:Array(Float64)} AS latitudes,
    {longitudes:Array(Float64)} AS longitudes
SELECT
    plate,
    {since:Int64} + toInt64(intDiv(pair.1, 131072)) AS first_at,
    {since:Int64} + toInt64(intDiv(pair.2, 131072)) AS second_at,
    intDiv(pair.1, 4) % 32768 AS here,
    intDiv(pair.2, 4) % 32768 AS there,
    pair.1 % 4,
    pair.2 % 4,
    if(here = there OR greatest(here, there) > length(latitudes), 0, geoDistance(
        longitudes[here], latitudes[here], longitudes[there], latitudes[there]
    )) AS metres,
    metres * 3600000 / greatest(second_at - first_at, 1000000) AS speed,
    metres * 3600 > {top_speed:Float64} * (second_at - first_at + {clocks_apart:Int64}) / 1000 AS proof
FROM
(
    SELECT
        plate,
        arrayJoin(arrayConcat(
            arrayMap(p -> (p.1, p.2, false), arrayFilter(
                p -> intDiv(p.1, 4) % 32768 != intDiv(p.2, 4) % 32768
                    AND intDiv(p.2, 131072) - intDiv(p.1, 131072) < {farthest:UInt64},
                arrayZip(arrayPopBack(reads), arrayPopFront(reads))
            )),
            -- What has no direction lies between an entry and the next as if it were not there.
            arrayMap(p -> (p.1, p.2, true), arrayFilter(
                -- One passage's reads are at one checkpoint and no further apart.
                p -> p.1 % 4 = 1 AND p.2 % 4 = 1 AND (
                    intDiv(p.1, 4) % 32768 != intDiv(p.2, 4) % 32768
                    OR intDiv(p.2, 131072) - intDiv(p.1, 131072) > 60000000
                ),
                arrayZip(arrayPopBack(crossings), arrayPopFront(crossings))
            ))
        )) AS pair
    FROM
    (
        SELECT
            any(read_plate) AS plate,
            arraySort(groupUniqArray(packed)) AS everywhere,
            if({places_not_known:Bool}, arrayFilter(
                r -> intDiv(r, 4) % 32768 <= length(latitudes), everywhere
            ), everywhere) AS reads,
            if({hints:Bool}, arrayFilter(r -> r % 4 != 0, everywhere), []) AS crossings
        FROM
        (
            SELECT
                read_plate,
                toUInt64(toUnixTimestamp64Micro(captured_at) - {since:Int64}) * 131072
                    + transform(checkpoint, {codes:Array(String)}, {numbers:Array(UInt64)}, toUInt64(0)) * 4
                    + toUInt8(direction) AS packed
            FROM
            (
                SELECT plate AS read_plate, captured_at, checkpoint, direction
                FROM sightings_by_checkpoint
                WHERE empty({plates:Array(String)})
                    AND captured_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
                    AND captured_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
                    AND checkpoint IN {codes:Array(String)}
                    AND confidence >= {min_confidence:Float32}
                    AND ({format:String} = '' OR match(plate, {format:String}))
                UNION ALL
                SELECT plate AS read_plate, captured_at, checkpoint, direction
                FROM sightings
                WHERE plate IN {plates:Array(String)}
                    AND captured_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
                    AND captured_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
                    AND checkpoint IN {codes:Array(String)}
                    AND confidence >= {min_confidence:Float32}
                    AND (log, position) NOT IN {misreads:Array(Tuple(String, UInt64))}
                    AND NOT (time_suspect OR captured_at > received_at + toIntervalMicrosecond({ahead:Int64}))
            )
        )
        GROUP BY cityHash64(read_plate)
        HAVING length(everywhere) > 1
    )
)
-- What is a proof already is no hint.
WHERE second_at >= {start:Int64} AND if(pair.3, NOT proof AND first_at >= {start:Int64}, proof)
ORDER BY proof DESC, speed DESC, plate, first_at
LIMIT {rows:UInt32};
