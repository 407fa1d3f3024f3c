-- A page of incidents, the one seen last first, of alerts and changes up to the pinned positions: the
-- sightings of one vehicle under one entry, each at most the gap after the one before.
WITH
    told AS
    (
        SELECT
            *,
            transform(log, {logs:Array(String)}, {pins:Array(UInt64)}, toUInt64(0)) AS pin,
            arrayFilter(change -> change.position <= pin, changes)[-1] AS latest,
            if(latest.position = 0, 1, toInt8(latest.state)) AS stands
        FROM alerts
        WHERE position <= pin
            AND ({everything:Bool} OR (agency, hotlist) IN {visible:Array(Tuple(String, String))})
            AND (empty({hotlists:Array(String)}) OR hotlist IN {hotlists:Array(String)})
            AND (empty({agencies:Array(String)}) OR agency IN {agencies:Array(String)})
            AND (empty({priorities:Array(String)}) OR entry_priority IN {priorities:Array(String)})
            AND ({entry_id:String} = '' OR entry_id = {entry_id:String})
            AND entry_id {global} IN
            (
                SELECT entry_id
                FROM hotlist_matches
                WHERE captured_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
                    AND captured_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
                    AND ({alert_id:String} = '' OR alert_id = {alert_id:String})
            )
    ),
    -- With the time of the sighting before; of the first one its own.
    followed AS
    (
        SELECT
            *,
            lagInFrame(captured_at, 1, captured_at) OVER (
                PARTITION BY entry_id, vehicle ORDER BY captured_at, alert_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS before
        FROM told
    ),
    numbered AS
    (
        SELECT
            *,
            countIf(captured_at - before > {gap:Int64} / 1000000) OVER (
                PARTITION BY entry_id, vehicle ORDER BY captured_at, alert_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS run
        FROM followed
    )
SELECT
    argMin(alert_id, (captured_at, alert_id)) AS incident_id,
    any(agency) AS agency,
    any(hotlist) AS hotlist,
    entry_id,
    any(entry_plate) AS entry_plate,
    any(entry_reason) AS entry_reason,
    any(entry_priority) AS entry_priority,
    any(entry_reference) AS entry_reference,
    vehicle,
    toUnixTimestamp64Micro(min(captured_at)) AS first_seen,
    toUnixTimestamp64Micro(max(captured_at)) AS last_seen,
    countIf(stands = 1) AS raised,
    countIf(stands = 2) AS acknowledged,
    countIf(stands = 3) AS resolved,
    multiIf(raised > 0, 1, acknowledged > 0, 2, 3) AS standing,
    arraySort(groupUniqArrayIf(latest.disposition, stands = 3)) AS dispositions,
    arraySlice(arraySort(groupArray((
        toUnixTimestamp64Micro(captured_at), alert_id, checkpoint, zone, lane, toInt8(direction),
        plate, match_probability, match_path, toInt8(stands), latest.disposition, delayed,
        look_back_id, reader_id, read_id
    ))), -1000) AS track
FROM numbered
GROUP BY entry_id, vehicle, run
HAVING countIf(captured_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
        AND captured_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')) > 0
    AND ({alert_id:String} = '' OR countIf(alert_id = {alert_id:String}) > 0)
    AND (empty({checkpoints:Array(String)})
        OR countIf(checkpoint IN {checkpoints:Array(String)}) > 0)
    AND (empty({zones:Array(String)}) OR countIf(zone IN {zones:Array(String)}) > 0)
    AND ({plate:String} = '' OR vehicle = {plate:String} OR countIf(plate = {plate:String}) > 0)
    AND (empty({states:Array(Int8)}) OR standing IN {states:Array(Int8)})
    AND (last_seen, incident_id) < ({before:Int64}, {before_id:String})
ORDER BY last_seen DESC, incident_id DESC
LIMIT {rows:UInt32};
