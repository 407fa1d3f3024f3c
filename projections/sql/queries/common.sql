-- Which plates were seen at how many scenes, and how sure the surest read was. keys: the stretches of
-- {width} microseconds to be read; scenes: one element a scene and stretch, with the scene's
-- beginning, end and number; plates: those alone, none: every plate.
SELECT plate, arraySort(groupUniqArray(scene)) AS seen, max(confidence) AS surest
FROM
(
    SELECT r.plate AS plate, r.confidence AS confidence, s.scene AS scene
    FROM
    (
        SELECT
            plate, checkpoint, confidence, toUnixTimestamp64Micro(captured_at) AS at,
            intDiv(at, {width:Int64}) AS stretch
        FROM sightings_by_checkpoint
        WHERE (checkpoint, intDiv(toUnixTimestamp64Micro(captured_at), {width:Int64}))
                IN {keys:Array(Tuple(String, Int64))}
            AND confidence >= {min_confidence:Float32}
            AND ({direction:Int8} = 0 OR toInt8(direction) = {direction:Int8})
            AND ({format:String} = '' OR match(plate, {format:String}))
            AND (empty({plates:Array(String)}) OR plate IN {plates:Array(String)})
    ) AS r
    INNER JOIN
    (
        SELECT w.1 AS checkpoint, w.2 AS stretch, w.3 AS start, w.4 AS end, w.5 AS scene
        FROM (SELECT arrayJoin({scenes:Array(Tuple(String, Int64, Int64, Int64, UInt32))}) AS w)
    ) AS s ON r.checkpoint = s.checkpoint AND r.stretch = s.stretch
    WHERE r.at >= s.start AND r.at < s.end
)
GROUP BY plate
HAVING length(seen) >= {least:UInt32}
ORDER BY length(seen) DESC, plate
LIMIT {rows:UInt32};
