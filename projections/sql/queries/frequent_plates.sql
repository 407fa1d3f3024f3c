-- Plates that were read more often on one day of the last seven than asked. A read that was applied
-- twice and not yet merged counts twice: it is an estimate.
SELECT plate, max(day_reads)
FROM
(
    SELECT plate, toDate(captured_at) AS day, count() AS day_reads
    FROM sightings
    WHERE captured_at > (SELECT max(last_seen) FROM plates) - INTERVAL 7 DAY
    GROUP BY plate, day
    HAVING day_reads > {above:UInt64}
)
GROUP BY plate
ORDER BY plate;
