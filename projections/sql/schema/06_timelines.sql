-- A plate's passages, from the set of all its reads: nothing here depends on the
-- order in which they arrived. Arrays are shifted rather than indexed, because an array that a
-- lambda refers to is copied for every element.

-- One row a plate. passages, in order of time: reads at one checkpoint and direction, each at
-- most 60 s after the one before; a passage's time is its first read's, ties are broken by the
-- read's id.
CREATE VIEW plate_passages {on_cluster} AS
SELECT
    plate,
    arraySort(
        p -> (p.at, p.read_key),
        arrayMap(
            run -> CAST(
                (run[1].captured_at, run[1].read_key, run[1].checkpoint, run[1].direction, length(run)),
                'Tuple(at DateTime64(6, \'UTC\'), read_key UInt64, checkpoint String, direction Enum8(\'unknown\' = 0, \'entry\' = 1, \'exit\' = 2), reads UInt32)'
            ),
            arraySplit(
                (r, b) -> r.checkpoint != b.checkpoint
                    OR r.direction != b.direction
                    OR r.captured_at > b.captured_at + toIntervalSecond(60),
                sorted, arrayPopBack(arrayPushFront(sorted, sorted[1]))
            )
        )
    ) AS passages
FROM
(
    SELECT
        plate,
        arraySort(
            r -> (r.checkpoint, r.direction, r.captured_at, r.read_key),
            groupUniqArrayMerge(reads)
        ) AS sorted
    FROM movements
    GROUP BY plate
);
