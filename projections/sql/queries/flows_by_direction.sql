-- As flows.sql, of all lanes together: the lanes need not be told apart, which takes most of its time.
SELECT checkpoint, total.1 AS way, '' AS lane, hour, total.2
FROM
(
    SELECT
        checkpoint,
        toInt64(toUnixTimestamp(toStartOfHour(toTimeZone(quarter, {zone:String})))) AS hour,
        arrayJoin(arrayFilter(
            t -> t.2 > 0 AND ({direction:Int8} = 0 OR t.1 = {direction:Int8}),
            [(toInt8(0), sum(latest.1)), (toInt8(1), sum(latest.2)), (toInt8(2), sum(latest.3))]
        )) AS total
    FROM
    (
        SELECT
            quarter, checkpoint,
            argMax(
                (
                    arraySum(arrayMap((d, n) -> if(d = 'unknown', n, 0), counts.direction, counts.passages)),
                    arraySum(arrayMap((d, n) -> if(d = 'entry', n, 0), counts.direction, counts.passages)),
                    arraySum(arrayMap((d, n) -> if(d = 'exit', n, 0), counts.direction, counts.passages))
                ),
                seen
            ) AS latest
        FROM flow_counts
        WHERE quarter >= toDateTime({first:Int64} * 900, 'UTC') AND quarter < toDateTime({end:Int64} * 900, 'UTC')
            AND (empty({checkpoints:Array(String)}) OR checkpoint IN {checkpoints:Array(String)})
            AND (checkpoint, intDiv(toInt64(toUnixTimestamp(quarter)), 900)) NOT IN {live:Array(Tuple(String, Int64))}
        GROUP BY quarter, checkpoint
    )
    GROUP BY checkpoint, hour
)
ORDER BY hour, checkpoint, way;
