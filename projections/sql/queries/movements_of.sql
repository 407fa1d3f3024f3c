-- The reads of some plates, out of the sets of their days. The order within a set means nothing.
SELECT
    plate,
    arrayMap(
        r -> (r.checkpoint, toInt8(r.direction), toUnixTimestamp64Micro(r.captured_at), r.read_key),
        groupUniqArrayMerge(reads)
    )
FROM movements
WHERE plate IN {plates:Array(String)}
GROUP BY plate;
