-- The passages and visits of some plates since a day, as the views plate_passages and timelines have
-- them: a passage that goes on from the day before begins here. Only the parts that have those days
-- are read.
SELECT
    plate, passages,
    arraySplit(
        (p, before) -> p.5 = 1 OR before.5 != 1,
        crossings, arrayPopBack(arrayPushFront(crossings, crossings[1]))
    ) AS visits
FROM
(
    SELECT
        plate,
        arraySort(p -> (p.1, p.2), arrayMap(
            run -> (run[1].3, run[1].4, run[-1].3, run[1].1, run[1].2, toUInt32(length(run))),
            arraySplit(
                (r, before) -> r.1 != before.1 OR r.2 != before.2 OR r.3 > before.3 + 60000000,
                sorted, arrayPopBack(arrayPushFront(sorted, sorted[1]))
            )
        )) AS passages,
        arrayFilter(p -> p.5 != 0, passages) AS crossings
    FROM
    (
        SELECT
            plate,
            arraySort(arrayMap(
                r -> (r.checkpoint, toInt8(r.direction), toUnixTimestamp64Micro(r.captured_at), r.read_key),
                groupUniqArrayMerge(reads)
            )) AS sorted
        FROM movements
        WHERE plate IN {plates:Array(String)}
            AND day >= toDate32(fromUnixTimestamp64Micro({since:Int64}, 'UTC'))
        GROUP BY plate
    )
);
