-- Reads of some plates whose reader's clock was wrong: captured after they were received.
SELECT plate, toUnixTimestamp64Micro(captured_at)
FROM sightings
WHERE plate IN {plates:Array(String)}
    AND captured_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
    AND captured_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
    AND (time_suspect OR captured_at > received_at + toIntervalMicrosecond({ahead:Int64}));
