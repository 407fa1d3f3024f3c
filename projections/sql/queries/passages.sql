SELECT checkpoint, toInt8(direction), toUnixTimestamp64Micro(at), reads, anomalies
FROM passages
WHERE plate = {plate:String}
    AND at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
    AND at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
ORDER BY at, read_key;
