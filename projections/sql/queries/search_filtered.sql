-- As search.sql, where only reads of a range, some checkpoints, a direction, a country
-- or some confidence count.
SELECT
    plate,
    sum(region_reads),
    toUnixTimestamp64Micro(min(region_first)),
    toUnixTimestamp64Micro(max(region_last)),
    argMax(region, (region != '', region_reads, region))
FROM
(
    SELECT
        plate, region,
        uniqExact(log, position) AS region_reads,
        min(captured_at) AS region_first,
        max(captured_at) AS region_last
    FROM sightings
    WHERE plate {global} IN
        (
            SELECT plate
            FROM plates
            WHERE plate LIKE {pattern:String} AND plate > {after:String}
                AND (NOT {fuzzy:Bool} OR plate IN {candidates:Array(String)})
                AND first_position <= transform(log, {logs:Array(String)}, {pins:Array(UInt64)}, toUInt64(0))
                AND first_seen < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
                AND last_seen >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
        )
        AND position <= transform(log, {logs:Array(String)}, {pins:Array(UInt64)}, toUInt64(0))
        AND captured_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
        AND captured_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
        AND (empty({checkpoints:Array(String)}) OR checkpoint IN {checkpoints:Array(String)})
        AND ({direction:Int8} = 0 OR toInt8(direction) = {direction:Int8})
        AND confidence >= {min_confidence:Float32}
        AND (
            {country:String} = '' OR region = {country:String}
            OR (region = '' AND {format:String} != '' AND match(plate, {format:String}))
        )
    GROUP BY plate, region
)
GROUP BY plate
ORDER BY plate
LIMIT {rows:UInt32};
