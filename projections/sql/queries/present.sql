-- Who may be inside at a time: the last entry by then is after the last exit, and not too old.
-- The last read of a direction stands for the last passage; where the two could differ (they lie
-- {slack} microseconds apart at most, or an end of the times asked for does, or reads came after)
-- the plate is given to be looked at by itself.
--
-- past: from the reads themselves, because there are too many later ones.
WITH
    fromUnixTimestamp64Micro({at:Int64}, 'UTC') AS asked,
    fromUnixTimestamp64Micro({earliest:Int64}, 'UTC') AS earliest,
    fromUnixTimestamp64Micro({latest:Int64}, 'UTC') AS latest,
    toIntervalMicrosecond({slack:Int64}) AS slack
SELECT
    countIf(NOT unsure),
    groupArraySortedIf({rows:UInt32})((toUnixTimestamp64Micro(entry), plate), NOT unsure),
    groupArrayIf({most:UInt32})(plate, unsure)
FROM
(
    SELECT
        plate, max(last_entry) AS entry, max(last_exit) AS exit,
        greatest(entry, exit) > asked
            OR greatest(entry, exit) - least(entry, exit) <= {slack:Int64} / 1000000
            OR entry <= earliest + slack
            OR entry > latest AS unsure
    FROM
    (
        SELECT plate, last_entry, last_exit
        FROM plates
        WHERE NOT {past:Bool} AND greatest(last_entry, last_exit) >= earliest
        UNION ALL
        SELECT
            plate,
            maxIf(captured_at, direction = 'entry') AS last_entry,
            maxIf(captured_at, direction = 'exit') AS last_exit
        FROM sightings_by_checkpoint
        WHERE {past:Bool} AND captured_at >= earliest AND captured_at <= asked
        GROUP BY plate
    )
    GROUP BY plate
    HAVING greatest(entry, exit) > asked
        OR (entry >= earliest AND entry <= latest + slack AND entry + slack >= exit)
);
