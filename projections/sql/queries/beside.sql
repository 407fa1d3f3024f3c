-- Unsure reads in some slots at some checkpoints, of plates that are one or two characters from the
-- one asked for: what may fold into its reads, they into, or those into. A read may come twice until
-- its parts are merged. Most slots have no such plate: then nothing else of them is unpacked.
SELECT
    plate, checkpoint, lane, toInt8(direction), toUnixTimestamp64Micro(captured_at), confidence, log,
    position
FROM unsure_by_checkpoint
PREWHERE plate != {plate:String} AND editDistance(plate, {plate:String}) <= 2
WHERE (checkpoint, slot) IN {keys:Array(Tuple(String, Int64))};
