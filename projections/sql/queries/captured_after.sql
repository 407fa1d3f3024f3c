-- How many reads were captured after a time, as far as {most}.
SELECT count()
FROM
(
    SELECT 1
    FROM sightings_by_checkpoint
    WHERE captured_at > fromUnixTimestamp64Micro({at:Int64}, 'UTC')
    LIMIT {most:UInt32}
);
