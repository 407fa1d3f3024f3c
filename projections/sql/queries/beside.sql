-- Unsure reads in some stretches of time at some checkpoints. A read may come twice until its parts
-- are merged.
SELECT
    plate, checkpoint, lane, toInt8(direction), toUnixTimestamp64Micro(captured_at), confidence, log,
    position
FROM sightings_by_checkpoint
WHERE (checkpoint, intDiv(toUnixTimestamp64Micro(captured_at), {width:Int64}))
        IN {keys:Array(Tuple(String, Int64))}
    AND confidence < {sure:Float32};
