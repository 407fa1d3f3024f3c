-- The least sure reads of some plates, up to the pinned position of this log.
SELECT plate, arrayMap(r -> r.2, groupArraySorted({most:UInt8})((confidence, position)))
FROM sightings
WHERE plate IN {plates:Array(String)} AND log = {log:String} AND position <= {pin:UInt64}
GROUP BY plate;
