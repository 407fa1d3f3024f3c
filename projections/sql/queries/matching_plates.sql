-- The next of the kept plates that a regular expression matches.
SELECT DISTINCT plate
FROM plates
WHERE plate > {after:String} AND match(plate, {expression:String})
    AND log = {log:String} AND first_position < {before:UInt64}
ORDER BY plate
LIMIT {rows:UInt32};
