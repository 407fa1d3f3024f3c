-- The next positions of the reads that may be of some plates or match an expression, where the
-- probabilities of all of these together are above a threshold; not where the plate read is one.
SELECT position
FROM unsure_reads
WHERE (plate IN {plates:Array(String)} OR {has_patterns:Bool} AND match(plate, {expression:String}))
    AND read_plate NOT IN {plates:Array(String)} AND NOT match(read_plate, {expression:String})
    AND log = {log:String} AND position > {after:UInt64} AND position < {before:UInt64}
    AND received_at >= fromUnixTimestamp64Micro({received_from:Int64}, 'UTC')
    AND captured_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
    AND captured_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
GROUP BY position
HAVING sum(likelihood) > {threshold:Float64}
ORDER BY position
LIMIT {rows:UInt32};
