-- The passages of some plates, in order of time.
SELECT
    plate,
    arrayMap(p -> (p.checkpoint, toInt8(p.direction), toUnixTimestamp64Micro(p.at), p.reads), passages)
FROM plate_passages
WHERE plate IN {plates:Array(String)};
