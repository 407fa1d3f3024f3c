-- How often plates that match each pattern were read on the busiest of the last seven days. A read
-- that was applied twice and not yet merged counts twice: it is an estimate.
SELECT pattern, max(day_reads)
FROM
(
    SELECT
        arrayJoin(arrayFilter(one -> plate LIKE one, {patterns:Array(String)})) AS pattern,
        day,
        sum(plate_reads) AS day_reads
    FROM
    (
        SELECT plate, toDate(captured_at) AS day, count() AS plate_reads
        FROM sightings
        WHERE captured_at > (SELECT max(last_seen) FROM plates) - INTERVAL 7 DAY
        GROUP BY plate, day
    )
    GROUP BY pattern, day
)
GROUP BY pattern;
