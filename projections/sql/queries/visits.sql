SELECT
    toUnixTimestamp64Micro(entered_at), toUnixTimestamp64Micro(exited_at),
    entry_checkpoint, exit_checkpoint
FROM visits
WHERE plate = {plate:String}
    AND (begins IS NULL OR begins < fromUnixTimestamp64Micro({end:Int64}, 'UTC'))
    AND (ends IS NULL OR ends >= fromUnixTimestamp64Micro({start:Int64}, 'UTC'))
ORDER BY place;
