-- One plate's passages whose time lies in the range, and visits that overlap it.
SELECT
    arrayMap(
        p -> (p.checkpoint, toInt8(p.direction), toUnixTimestamp64Micro(p.at), p.reads, p.anomalies),
        arrayFilter(
            p -> p.at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
                AND p.at < fromUnixTimestamp64Micro({end:Int64}, 'UTC'),
            passages
        )
    ),
    arrayMap(
        s -> (
            toUnixTimestamp64Micro(s.entered_at), toUnixTimestamp64Micro(s.exited_at),
            s.entry_checkpoint, s.exit_checkpoint
        ),
        arrayFilter(
            s -> s.is_visit
                AND (s.begins IS NULL OR s.begins < fromUnixTimestamp64Micro({end:Int64}, 'UTC'))
                AND (s.ends IS NULL OR s.ends >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')),
            stays
        )
    )
FROM timelines
WHERE plate = {plate:String};
