-- Reads of some plates in a range of time that are less sure than {below}. A read may come twice until
-- its parts are merged.
SELECT
    plate, checkpoint, lane, toInt8(direction), toUnixTimestamp64Micro(captured_at), confidence, log,
    position
FROM sightings
WHERE plate IN {plates:Array(String)}
    AND captured_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
    AND captured_at <= fromUnixTimestamp64Micro({last:Int64}, 'UTC')
    AND confidence < {below:Float32};
