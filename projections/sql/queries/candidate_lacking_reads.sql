-- The next positions of the reads that are no surer than `surest` and have no rows in unsure_reads:
-- those up to `lacking`, and those that are surer than it has. Not where the plate read is asked for.
SELECT DISTINCT position
FROM sightings
WHERE (position <= {lacking:UInt64} OR confidence > {sure:Float64})
    AND confidence <= {surest:Float64}
    AND plate NOT IN {plates:Array(String)} AND NOT match(plate, {expression:String})
    AND log = {log:String} AND position > {after:UInt64} AND position < {before:UInt64}
    AND received_at >= fromUnixTimestamp64Micro({received_from:Int64}, 'UTC')
    AND captured_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
    AND captured_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
ORDER BY position
LIMIT {rows:UInt32};
