-- The next of the kept plates that match, up to the pinned positions; fuzzy: of those among the
-- candidates.
SELECT DISTINCT plate
FROM plates
WHERE plate LIKE {pattern:String} AND plate > {after:String}
    AND (NOT {fuzzy:Bool} OR plate IN {candidates:Array(String)})
    AND first_position <= transform(log, {logs:Array(String)}, {pins:Array(UInt64)}, toUInt64(0))
ORDER BY plate
LIMIT {rows:UInt32};
