-- Passages by the hour of their first read: a read begins one where the same plate was not read
-- at that checkpoint and direction in the 60 s before.
SELECT checkpoint, toInt8(direction), toInt64(toUnixTimestamp(hour)), count()
FROM
(
    SELECT checkpoint, direction, arraySort(groupUniqArray(captured_at)) AS times
    FROM sightings_by_checkpoint
    WHERE captured_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC') - toIntervalSecond(60)
        AND captured_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
        AND (empty({checkpoints:Array(String)}) OR checkpoint IN {checkpoints:Array(String)})
    GROUP BY checkpoint, direction, plate
)
ARRAY JOIN
    times AS at,
    arrayPopBack(arrayPushFront(times, toDateTime64('1900-01-01 00:00:00', 6, 'UTC'))) AS before
WHERE at > before + toIntervalSecond(60) AND at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
GROUP BY checkpoint, direction, toStartOfHour(at) AS hour
ORDER BY hour, checkpoint, direction;
