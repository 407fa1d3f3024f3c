-- Passages by checkpoint, direction, lane and hour of the zone, from what is counted; live: quarters
-- that are not.
SELECT
    checkpoint, toInt8(count.direction) AS way, count.lane AS lane,
    toInt64(toUnixTimestamp(toStartOfHour(toTimeZone(quarter, {zone:String})))) AS hour,
    sum(count.passages)
FROM
(
    SELECT quarter, checkpoint, argMax(counts, seen) AS latest
    FROM flow_counts
    WHERE quarter >= toDateTime({first:Int64} * 900, 'UTC') AND quarter < toDateTime({end:Int64} * 900, 'UTC')
        AND (empty({checkpoints:Array(String)}) OR checkpoint IN {checkpoints:Array(String)})
        AND (checkpoint, intDiv(toInt64(toUnixTimestamp(quarter)), 900)) NOT IN {live:Array(Tuple(String, Int64))}
    GROUP BY quarter, checkpoint
)
ARRAY JOIN latest AS count
WHERE {direction:Int8} = 0 OR way = {direction:Int8}
GROUP BY checkpoint, way, lane, hour
ORDER BY hour, checkpoint, way, lane;
