-- A plate's passages and visits, from the set of all its reads: nothing here depends on the
-- order in which they arrived. Arrays are shifted rather than indexed, because an array that a
-- lambda refers to is copied for every element.

-- One row a plate. passages, in order of time: reads at one checkpoint and direction, each at
-- most 60 s after the one before; a passage's time is its first read's, ties are broken by the
-- read's id. crossings: those of known direction.
CREATE VIEW plate_passages AS
SELECT plate, passages, arrayFilter(p -> p.direction != 'unknown', passages) AS crossings
FROM
(
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
    )
);

-- An entry after an entry: the exit between them was missed; likewise the other way. A passage
-- of unknown direction is no evidence of either.
CREATE VIEW passages AS
SELECT
    plate,
    passage.at AS at,
    passage.read_key AS read_key,
    passage.checkpoint AS checkpoint,
    passage.direction AS direction,
    passage.reads AS reads,
    multiIf(
        direction = 'entry' AND direction_before = 'entry', ['missed-exit'],
        direction = 'exit' AND direction_before = 'exit', ['missed-entry'],
        []
    ) AS anomalies
FROM
(
    SELECT
        plate,
        passages,
        arrayFill(d -> d != 'unknown', passages.direction) AS last_directions
    FROM plate_passages
)
ARRAY JOIN
    passages AS passage,
    arrayPopBack(arrayPushFront(last_directions, 'unknown')) AS direction_before;

-- Every entry begins a visit, and so does every exit that no entry comes before; an entry's visit
-- ends with an exit that comes next. begins and ends bound what is known of it: an entry that was
-- missed came after the exit before, an exit that was missed before the next entry. NULL: not known,
-- or not bounded. place: in the order of the plate's visits.
CREATE VIEW visits AS
SELECT
    plate,
    place,
    if(c.direction = 'entry', c.at, NULL) AS entered_at,
    multiIf(c.direction = 'exit', c.at, next.direction = 'exit', next.at, NULL) AS exited_at,
    if(c.direction = 'entry', c.checkpoint, '') AS entry_checkpoint,
    multiIf(c.direction = 'exit', c.checkpoint, next.direction = 'exit', next.checkpoint, '')
        AS exit_checkpoint,
    multiIf(c.direction = 'entry', c.at, before.direction = 'exit', before.at, NULL) AS begins,
    multiIf(c.direction = 'exit', c.at, next.direction != 'unknown', next.at, NULL) AS ends
FROM
(
    SELECT
        plate,
        crossings,
        CAST((0, 0, '', 'unknown', 0), toTypeName(crossings[1])) AS none
    FROM plate_passages
)
ARRAY JOIN
    crossings AS c,
    arrayPopBack(arrayPushFront(crossings, none)) AS before,
    arrayPopFront(arrayPushBack(crossings, none)) AS next,
    arrayEnumerate(crossings) AS place
WHERE c.direction = 'entry' OR before.direction != 'entry';
