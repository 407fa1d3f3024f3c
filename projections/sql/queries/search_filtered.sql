-- As search.sql, where only reads of a range or of some checkpoints count.
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
                AND first_position <= transform(log, {logs:Array(String)}, {pins:Array(UInt64)}, toUInt64(0))
                AND first_seen < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
                AND last_seen >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
        )
        AND position <= transform(log, {logs:Array(String)}, {pins:Array(UInt64)}, toUInt64(0))
        AND captured_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
        AND captured_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
        AND (empty({checkpoints:Array(String)}) OR checkpoint IN {checkpoints:Array(String)})
    GROUP BY plate, region
)
GROUP BY plate
ORDER BY plate
LIMIT {rows:UInt32};
