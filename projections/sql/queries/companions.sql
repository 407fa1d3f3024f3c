-- Whose passages begin near the target's. windows: the target's passages, one element a passage and
-- stretch of time that it reaches into, each of {width} microseconds; as JSON, which the planner
-- leaves alone: over an array it takes a tenth of the question's time. keys: the stretches to be
-- read. A read begins a passage where the same plate was not read at that checkpoint and direction
-- in the 60 s before. What is not asked for is not looked at: a confidence of 0.
--
-- One row: the plates that were met at {encounters} passages of the target or more, each with their
-- numbers; and the numbers of passages at which somebody was met, beside how many plates were.
SELECT
    groupArrayIf((plate, met), length(met) >= {encounters:UInt32}),
    sumMap(met, arrayMap(window -> 1, met))
FROM
(
    SELECT plate, groupUniqArray(window) AS met
    FROM
    (
        SELECT s.plate AS plate, t.window AS window
        FROM
        (
            SELECT
                plate, checkpoint, toInt8(direction) AS way,
                arrayJoin(arrayFilter(
                    (at, before) -> at > before + 60000000,
                    times,
                    arrayPopBack(arrayPushFront(times, toInt64(-60000001)))
                )) AS start
            FROM
            (
                SELECT
                    plate, checkpoint, direction,
                    arraySort(groupArray(toUnixTimestamp64Micro(captured_at))) AS times
                FROM sightings_by_checkpoint
                WHERE (checkpoint, intDiv(toUnixTimestamp64Micro(captured_at), {width:Int64}))
                        IN {keys:Array(Tuple(String, Int64))}
                    AND plate != {plate:String}
                    AND ({min_confidence:Float32} <= 0 OR confidence >= {min_confidence:Float32})
                    AND ({format:String} = '' OR match(plate, {format:String}))
                GROUP BY plate, checkpoint, direction
            )
        ) AS s
        INNER JOIN
        (
            SELECT w.1 AS checkpoint, w.2 AS stretch, w.3 AS at, w.4 AS way, w.5 AS window
            FROM (SELECT arrayJoin(JSONExtract(
                materialize({windows:String}), 'Array(Tuple(String, Int64, Int64, Int8, UInt32))'
            )) AS w)
        ) AS t ON s.checkpoint = t.checkpoint AND intDiv(s.start, {width:Int64}) = t.stretch
        WHERE abs(s.start - t.at) <= {within:Int64}
            AND (NOT {same_direction:Bool} OR s.way = t.way)
    )
    GROUP BY plate
);
