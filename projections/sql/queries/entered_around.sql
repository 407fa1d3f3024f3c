-- Which plates have an entry that goes on across {edge}: one read before it, and one from it on, not
-- further apart than a passage's reads may be.
SELECT DISTINCT plate
FROM
(
    SELECT plate, checkpoint
    FROM sightings_by_checkpoint
    WHERE direction = 'entry'
        AND captured_at >= fromUnixTimestamp64Micro({edge:Int64} - {gap:Int64}, 'UTC')
        AND captured_at < fromUnixTimestamp64Micro({edge:Int64} + {gap:Int64}, 'UTC')
    GROUP BY plate, checkpoint
    HAVING minIf(toUnixTimestamp64Micro(captured_at), toUnixTimestamp64Micro(captured_at) >= {edge:Int64})
        - maxIf(toUnixTimestamp64Micro(captured_at), toUnixTimestamp64Micro(captured_at) < {edge:Int64})
        BETWEEN 1 AND {gap:Int64}
);
