-- The next counts that are kept of a quarter of an hour and hold, as count_flows has them; beyond:
-- the count claims reads that its marks do not know of. One that has not every read is left out.
SELECT
    k.checkpoint, intDiv(toInt64(toUnixTimestamp(k.quarter)), 900) AS number, k.passages,
    k.latest > m.upto AS beyond
FROM
(
    SELECT
        quarter, checkpoint, max(seen) AS latest,
        arraySort(arrayMap(c -> (c.1, toInt8(c.2), c.3), argMax(counts, seen))) AS passages
    FROM flow_counts
    WHERE (quarter, checkpoint) > (toDateTime({quarter:Int64} * 900, 'UTC'), {checkpoint:String})
    GROUP BY quarter, checkpoint
) AS k
LEFT JOIN
(
    SELECT quarter, checkpoint, sum(last) AS upto
    FROM
    (
        SELECT quarter, checkpoint, max(last_position) AS last
        FROM flow_marks
        WHERE quarter >= toDateTime({quarter:Int64} * 900, 'UTC')
        GROUP BY quarter, checkpoint, log
    )
    GROUP BY quarter, checkpoint
) AS m ON k.quarter = m.quarter AND k.checkpoint = m.checkpoint
WHERE k.latest >= m.upto
ORDER BY number, k.checkpoint
LIMIT {rows:UInt32};
