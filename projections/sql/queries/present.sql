-- Who may be inside at a time: the last entry by then is after the last exit, and not too old.
-- The last read of a direction stands for the last passage; where the two could differ (they lie
-- {slack} microseconds apart at most, or an end of the times asked for does, or reads came after)
-- the plate is given to be looked at by itself.
--
-- past: from the reads themselves, because there are too many later ones.
--
-- key: the plate's up to 12 characters as one number, in the plates' order: numbers are told apart
-- several times as fast as texts.
WITH
    k -> toString(toStringCutToZero(reinterpretAsFixedString(byteSwap(k)))) AS plate_of,
    fromUnixTimestamp64Micro({at:Int64}, 'UTC') AS asked,
    fromUnixTimestamp64Micro({earliest:Int64}, 'UTC') AS earliest,
    fromUnixTimestamp64Micro({latest:Int64}, 'UTC') AS latest,
    toIntervalMicrosecond({slack:Int64}) AS slack
SELECT
    countIf(NOT unsure),
    arrayMap(
        p -> (p.1, plate_of(p.2)),
        groupArraySortedIf({rows:UInt32})((toUnixTimestamp64Micro(entry), key), NOT unsure)
    ),
    arrayMap(k -> plate_of(k), groupArrayIf({most:UInt32})(key, unsure))
FROM
(
    SELECT
        key, entry, exit,
        greatest(entry, exit) > asked
            OR abs(toUnixTimestamp64Micro(entry) - toUnixTimestamp64Micro(exit)) <= {slack:Int64}
            OR entry <= earliest + slack
            OR entry > latest AS unsure
    FROM
    (
        SELECT
            byteSwap(reinterpretAsUInt128(toFixedString(plate, 16))) AS key,
            max(last_entry) AS entry,
            max(last_exit) AS exit
        FROM plates
        WHERE NOT {past:Bool} AND greatest(last_entry, last_exit) >= earliest
        GROUP BY key
        UNION ALL
        SELECT
            byteSwap(reinterpretAsUInt128(toFixedString(plate, 16))) AS key,
            maxIf(captured_at, direction = 'entry') AS entry,
            maxIf(captured_at, direction = 'exit') AS exit
        FROM sightings_by_checkpoint
        WHERE {past:Bool} AND captured_at >= earliest AND captured_at <= asked
        GROUP BY key
    )
    WHERE greatest(entry, exit) > asked
        OR (entry >= earliest AND entry <= latest + slack AND entry + slack >= exit)
);
