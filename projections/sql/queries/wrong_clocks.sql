-- Which of some plates have a read whose reader's clock was wrong: captured after it was received.
SELECT DISTINCT plate
FROM sightings
WHERE plate IN {plates:Array(String)}
    AND captured_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
    AND captured_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
    AND (time_suspect OR captured_at > received_at + toIntervalMicrosecond({ahead:Int64}));
