-- The quarters of an hour whose flows are not counted yet, or not with every read; settled: all
-- reads that they were marked for are in the tables.
SELECT m.checkpoint, intDiv(toInt64(toUnixTimestamp(m.quarter)), 900), m.seen, m.settled
FROM
(
    SELECT quarter, checkpoint, sum(upto) AS seen, min(known) AS settled
    FROM
    (
        SELECT
            quarter, checkpoint, max(last_position) AS upto,
            upto <= transform(log, {logs:Array(String)}, {pins:Array(UInt64)}, toUInt64(0)) AS known
        FROM flow_marks
        WHERE quarter >= toDateTime({first:Int64} * 900, 'UTC') AND quarter < toDateTime({end:Int64} * 900, 'UTC')
            AND (empty({checkpoints:Array(String)}) OR checkpoint IN {checkpoints:Array(String)})
        GROUP BY quarter, checkpoint, log
    )
    GROUP BY quarter, checkpoint
) AS m
LEFT ANTI JOIN
(
    SELECT quarter, checkpoint, seen
    FROM flow_counts
    WHERE quarter >= toDateTime({first:Int64} * 900, 'UTC') AND quarter < toDateTime({end:Int64} * 900, 'UTC')
        AND (empty({checkpoints:Array(String)}) OR checkpoint IN {checkpoints:Array(String)})
) AS c ON m.quarter = c.quarter AND m.checkpoint = c.checkpoint AND m.seen = c.seen;
