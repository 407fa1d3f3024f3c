-- Of some plates, those inside at a time, each with its stay: the last passage of a known direction
-- by then is an entry, within the times asked for.
SELECT
    plate,
    toUnixTimestamp64Micro(stay.entered_at), toUnixTimestamp64Micro(stay.exited_at),
    stay.entry_checkpoint, stay.exit_checkpoint
FROM
(
    SELECT
        plate,
        arrayLast(
            (s, c) -> c.at <= fromUnixTimestamp64Micro({at:Int64}, 'UTC'), stays, crossings
        ) AS stay,
        arrayLast(
            c -> c.at <= fromUnixTimestamp64Micro({at:Int64}, 'UTC'), crossings
        ) AS crossing
    FROM timelines
    WHERE plate IN {plates:Array(String)}
)
WHERE crossing.direction = 'entry'
    AND crossing.at >= fromUnixTimestamp64Micro({earliest:Int64}, 'UTC')
    AND crossing.at <= fromUnixTimestamp64Micro({latest:Int64}, 'UTC');
