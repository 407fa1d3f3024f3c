-- Which plates were seen entering within one of some spans of time.
SELECT DISTINCT plate
FROM sightings_by_checkpoint
WHERE direction = 'entry'
    AND (
        captured_at >= fromUnixTimestamp64Micro({first:Int64}, 'UTC')
            AND captured_at < fromUnixTimestamp64Micro({first_end:Int64}, 'UTC')
        OR captured_at >= fromUnixTimestamp64Micro({second:Int64}, 'UTC')
            AND captured_at <= fromUnixTimestamp64Micro({second_end:Int64}, 'UTC')
    );
