-- The passages of some plates around a range of time.
SELECT
    plate,
    arrayMap(
        p -> (p.checkpoint, toInt8(p.direction), toUnixTimestamp64Micro(p.at), p.reads, p.anomalies),
        arrayFilter(p -> p.at < fromUnixTimestamp64Micro({end:Int64}, 'UTC'), passages)
    )
FROM timelines
WHERE plate IN {plates:Array(String)};
