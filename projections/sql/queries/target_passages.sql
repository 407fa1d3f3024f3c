-- One plate's passages whose time lies in the range, at some checkpoints and in a direction.
SELECT p.checkpoint, toInt8(p.direction), toUnixTimestamp64Micro(p.at)
FROM plate_passages
ARRAY JOIN passages AS p
WHERE plate = {plate:String}
    AND p.at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
    AND p.at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
    AND (empty({checkpoints:Array(String)}) OR p.checkpoint IN {checkpoints:Array(String)})
    AND ({direction:Int8} = 0 OR toInt8(p.direction) = {direction:Int8})
ORDER BY p.at, p.read_key;
