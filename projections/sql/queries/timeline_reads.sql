-- Every read of one plate, as far as its timeline needs it.
SELECT
    checkpoint, lane, toInt8(direction), toUnixTimestamp64Micro(captured_at), confidence, log, position,
    reader_id, toUnixTimestamp64Micro(received_at), time_suspect
FROM sightings
WHERE plate = {plate:String}
ORDER BY captured_at, log, position
LIMIT 1 BY log, position;
