-- As last_passages was at a time gone by, from the reads; of plates that may have been inside alone.
SELECT reinterpretAsFixedString(byteSwap(key)) AS plate, entry, exit
FROM
(
    SELECT
        byteSwap(reinterpretAsUInt128(toFixedString(plate, 16))) AS key,
        toUnixTimestamp64Micro(maxIf(captured_at, direction = 'entry')) AS entry,
        toUnixTimestamp64Micro(maxIf(captured_at, direction = 'exit')) AS exit
    FROM sightings_by_checkpoint
    WHERE captured_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
        AND captured_at <= fromUnixTimestamp64Micro({at:Int64}, 'UTC')
    GROUP BY key
    HAVING entry + {slack:Int64} >= exit
)
ORDER BY key;
