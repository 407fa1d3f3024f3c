-- A stretch of one plate's reads, whole instants at a time, so that the next stretch begins after
-- the last instant of this one. A read may come twice until its parts are merged.
SELECT
    toUnixTimestamp64Micro(captured_at), position, log = {log:String},
    checkpoint, reader_id, lane, toInt8(direction), confidence,
    toUnixTimestamp64Micro(received_at), region, time_suspect
FROM sightings
WHERE plate = {plate:String}
    AND captured_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
    AND captured_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
ORDER BY captured_at
LIMIT {rows:UInt32} WITH TIES;
