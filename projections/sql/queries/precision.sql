-- Alerts by list, reader and period (its begin in seconds since 1970, 0 for the whole), and how they
-- ended.
SELECT
    agency,
    hotlist,
    if({by_reader:Bool}, reader_id, '') AS reader,
    multiIf(
        {period:Int8} = 1, toInt64(toUnixTimestamp(toStartOfDay(raised_at, {zone:String}))),
        {period:Int8} = 2, toInt64(toUnixTimestamp(toDateTime(toStartOfWeek(raised_at, 1, {zone:String}), {zone:String}))),
        {period:Int8} = 3, toInt64(toUnixTimestamp(toDateTime(toStartOfMonth(raised_at, {zone:String}), {zone:String}))),
        0) AS begins,
    count() AS raised,
    countIf(state = 'resolved') AS resolved,
    countIf(state = 'resolved' AND disposition = 'confirmed') AS confirmed,
    countIf(state = 'resolved' AND disposition = 'misread') AS misread,
    countIf(state = 'resolved' AND disposition = 'not of interest') AS not_of_interest,
    countIf(state = 'resolved' AND disposition = 'no action') AS no_action
FROM alerts
WHERE raised_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
    AND raised_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
    AND ({everything:Bool} OR (agency, hotlist) IN {visible:Array(Tuple(String, String))})
    AND (empty({hotlists:Array(String)}) OR hotlist IN {hotlists:Array(String)})
    AND (empty({agencies:Array(String)}) OR agency IN {agencies:Array(String)})
GROUP BY agency, hotlist, reader, begins
ORDER BY agency, hotlist, reader, begins
LIMIT 10000;
