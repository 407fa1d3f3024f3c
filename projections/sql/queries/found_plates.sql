-- The next of the kept plates that match, up to the pinned positions; fuzzy: of those among the
-- candidates. Before the pattern comes what costs less and rules out as much: {least} to {most}
-- characters, {ending}, and {within} somewhere; of plates that it rules out nothing else is unpacked.
SELECT DISTINCT plate
FROM plates
PREWHERE length(plate) >= {least:UInt32} AND length(plate) <= {most:UInt32}
    AND endsWith(plate, {ending:String})
    AND ({within:String} = '' OR position(plate, {within:String}) > 0)
    AND plate LIKE {pattern:String} AND plate > {after:String}
    AND (NOT {fuzzy:Bool} OR plate IN {candidates:Array(String)})
WHERE first_position <= transform(log, {logs:Array(String)}, {pins:Array(UInt64)}, toUInt64(0))
ORDER BY plate
LIMIT {rows:UInt32};
