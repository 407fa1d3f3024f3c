-- Each plate's last entry and last exit, of those seen passing since a time; in order of plate.
-- key: the plate's up to 12 characters as one number, in the plates' order: numbers are told apart
-- several times as fast as texts.
SELECT reinterpretAsFixedString(byteSwap(key)) AS plate, entry, exit
FROM
(
    SELECT
        byteSwap(reinterpretAsUInt128(toFixedString(plate, 16))) AS key,
        toUnixTimestamp64Micro(max(last_entry)) AS entry,
        toUnixTimestamp64Micro(max(last_exit)) AS exit
    FROM plates
    WHERE greatest(last_entry, last_exit) >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
    GROUP BY key
)
ORDER BY key;
