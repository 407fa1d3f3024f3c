-- As the view timelines has them, where some passages are taken for misreads of other plates and are
-- no evidence. away: the keys of their first reads.
SELECT
    plate, passages,
    arraySplit(
        (p, before) -> p.5 = 1 OR before.5 != 1,
        crossings, arrayPopBack(arrayPushFront(crossings, crossings[1]))
    ) AS visits
FROM
(
    SELECT
        plate, passages,
        arrayFilter(p -> p.5 != 0 AND NOT has({away:Array(UInt64)}, p.2), passages) AS crossings
    FROM plate_passages
    WHERE plate IN {plates:Array(String)}
);
