-- Every read of one plate, as far as its timeline needs it. A read may come twice until its parts
-- are merged.
SELECT
    checkpoint, lane, toInt8(direction), toUnixTimestamp64Micro(captured_at), confidence, log, position,
    toUnixTimestamp64Micro(received_at), time_suspect
FROM sightings
WHERE plate = {plate:String};
