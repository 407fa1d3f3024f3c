-- Plates that a regular expression matches, up to the pinned positions.
SELECT DISTINCT plate
FROM plates
WHERE match(plate, {expression:String})
    AND first_position <= transform(log, {logs:Array(String)}, {pins:Array(UInt64)}, toUInt64(0))
ORDER BY plate
LIMIT {rows:UInt32};
