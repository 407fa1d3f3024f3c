-- Reads of one plate, one after the other, that no vehicle could make, and entry after entry. codes,
-- latitudes and longitudes: the checkpoints whose place is known. Two reads are looked at where they
-- are less than {farthest} microseconds apart, in which the top speed leads from any checkpoint to
-- any other. A read's time since the start, its checkpoint and its direction are packed into one
-- number, because numbers sort quickly: 47, 15 and 2 bits.
--
-- Rows: plate, the two times, metres, km/h, whether no vehicle could make it, whether both are
-- entries.
WITH
    {latitudes:Array(Float64)} AS latitudes,
    {longitudes:Array(Float64)} AS longitudes
SELECT
    plate,
    {start:Int64} + toInt64(intDiv(pair.1, 131072)) AS first_at,
    {start:Int64} + toInt64(intDiv(pair.2, 131072)) AS second_at,
    intDiv(pair.1, 4) % 32768 AS here,
    intDiv(pair.2, 4) % 32768 AS there,
    if(here = there, 0, geoDistance(
        longitudes[here], latitudes[here], longitudes[there], latitudes[there]
    )) AS metres,
    metres * 3600000 / greatest(second_at - first_at, 1000000) AS speed,
    metres * 3600 > {top_speed:Float64} * (second_at - first_at + {clocks_apart:Int64}) / 1000 AS proof,
    pair.1 % 4 = 1 AND pair.2 % 4 = 1 AS twice
FROM
(
    SELECT
        plate,
        arrayJoin(arrayFilter(
            p -> (
                    intDiv(p.1, 4) % 32768 != intDiv(p.2, 4) % 32768
                    AND intDiv(p.2, 131072) - intDiv(p.1, 131072) < {farthest:UInt64}
                )
                OR ({hints:Bool} AND p.1 % 4 = 1 AND p.2 % 4 = 1
                    AND intDiv(p.2, 131072) - intDiv(p.1, 131072) > 60000000),
            arrayZip(arrayPopBack(reads), arrayPopFront(reads))
        )) AS pair
    FROM
    (
        SELECT any(read_plate) AS plate, arraySort(groupUniqArray(packed)) AS reads
        FROM
        (
            SELECT
                plate AS read_plate,
                toUInt64(toUnixTimestamp64Micro(captured_at) - {start:Int64}) * 131072
                    + transform(checkpoint, {codes:Array(String)}, {numbers:Array(UInt64)}, toUInt64(0)) * 4
                    + toUInt8(direction) AS packed
            FROM sightings_by_checkpoint
            WHERE captured_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
                AND captured_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
                AND checkpoint IN {codes:Array(String)}
                AND confidence >= {min_confidence:Float32}
                AND ({format:String} = '' OR match(plate, {format:String}))
        )
        GROUP BY cityHash64(read_plate)
        HAVING length(reads) > 1
    )
)
WHERE proof OR ({hints:Bool} AND twice)
ORDER BY proof DESC, speed DESC, plate, first_at
LIMIT {rows:UInt32};
