-- A page of the plates that match, each with its reads up to the pinned positions; fuzzy: of those
-- among the candidates. A read that
-- was applied twice counts once.
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
            SELECT DISTINCT plate
            FROM plates
            WHERE plate LIKE {pattern:String} AND plate > {after:String}
                AND (NOT {fuzzy:Bool} OR plate IN {candidates:Array(String)})
                AND first_position <= transform(log, {logs:Array(String)}, {pins:Array(UInt64)}, toUInt64(0))
            ORDER BY plate
            LIMIT {rows:UInt32}
        )
        AND position <= transform(log, {logs:Array(String)}, {pins:Array(UInt64)}, toUInt64(0))
    GROUP BY plate, region
)
GROUP BY plate
ORDER BY plate;
