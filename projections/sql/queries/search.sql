-- Some plates, each with its reads up to the pinned positions. A read that was applied twice counts
-- once. The plates are found before: as a subquery that takes five times as long.
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
    WHERE plate IN {plates:Array(String)}
        AND position <= transform(log, {logs:Array(String)}, {pins:Array(UInt64)}, toUInt64(0))
    GROUP BY plate, region
)
GROUP BY plate
ORDER BY plate;
