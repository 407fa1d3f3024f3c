-- Unsure reads of every plate in some slots at some checkpoints. A read may come twice until its
-- parts are merged.
SELECT
    plate, checkpoint, lane, toInt8(direction), toUnixTimestamp64Micro(captured_at), confidence, log,
    position
FROM unsure_by_checkpoint
WHERE (checkpoint, slot) IN {keys:Array(Tuple(String, Int64))};
