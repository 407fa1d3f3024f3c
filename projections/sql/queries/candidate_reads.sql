-- The next positions of the reads of some plates. A read that was applied twice comes once.
SELECT DISTINCT position
FROM sightings
WHERE plate IN {plates:Array(String)} AND log = {log:String}
    AND position > {after:UInt64} AND position < {before:UInt64}
    AND received_at >= fromUnixTimestamp64Micro({received_from:Int64}, 'UTC')
    AND captured_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
    AND captured_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
ORDER BY position
LIMIT {rows:UInt32};
