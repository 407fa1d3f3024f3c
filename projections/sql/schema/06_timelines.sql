-- A plate's passages and visits, from the set of all its reads: nothing here depends on the
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

-- One row a plate, with everything of its timeline; most of a question's time is its planning, so
-- one question for both is half of two.
--
-- passages, each with its anomalies. An entry after an entry: the exit between them was missed;
-- likewise the other way. A passage of unknown direction is no evidence of either.
--
-- stays, one a passage of known direction; those with is_visit are the visits. Every entry begins
-- a visit, and so does every exit that no entry comes before; an entry's visit ends with an exit
-- that comes next. begins and ends bound what is known of it: an entry that was missed came after
-- the exit before, an exit that was missed before the next entry. NULL: not known, or not bounded.
CREATE VIEW timelines {on_cluster} AS
SELECT
    plate,
    arrayMap(
        (p, before) -> CAST(
            (
                p.at, p.read_key, p.checkpoint, p.direction, p.reads,
                multiIf(
                    p.direction = 'entry' AND before = 'entry', ['missed-exit'],
                    p.direction = 'exit' AND before = 'exit', ['missed-entry'],
                    []
                )
            ),
            'Tuple(at DateTime64(6, \'UTC\'), read_key UInt64, checkpoint String, direction Enum8(\'unknown\' = 0, \'entry\' = 1, \'exit\' = 2), reads UInt32, anomalies Array(String))'
        ),
        plain,
        arrayPopBack(arrayPushFront(arrayFill(d -> d != 'unknown', plain.direction), 'unknown'))
    ) AS passages,
    arrayFilter(p -> p.direction != 'unknown', plain) AS crossings,
    CAST((0, 0, '', 'unknown', 0), toTypeName(crossings[1])) AS none,
    arrayMap(
        (c, before, next) -> CAST(
            (
                if(c.direction = 'entry', c.at, NULL),
                multiIf(c.direction = 'exit', c.at, next.direction = 'exit', next.at, NULL),
                if(c.direction = 'entry', c.checkpoint, ''),
                multiIf(c.direction = 'exit', c.checkpoint, next.direction = 'exit', next.checkpoint, ''),
                multiIf(c.direction = 'entry', c.at, before.direction = 'exit', before.at, NULL),
                multiIf(c.direction = 'exit', c.at, next.direction != 'unknown', next.at, NULL),
                c.direction = 'entry' OR before.direction != 'entry'
            ),
            'Tuple(entered_at Nullable(DateTime64(6, \'UTC\')), exited_at Nullable(DateTime64(6, \'UTC\')), entry_checkpoint String, exit_checkpoint String, begins Nullable(DateTime64(6, \'UTC\')), ends Nullable(DateTime64(6, \'UTC\')), is_visit Bool)'
        ),
        crossings,
        arrayPopBack(arrayPushFront(crossings, none)),
        arrayPopFront(arrayPushBack(crossings, none))
    ) AS stays
FROM (SELECT plate, passages AS plain FROM plate_passages);

-- One row a passage.
CREATE VIEW passages {on_cluster} AS
SELECT
    plate,
    passage.at AS at,
    passage.read_key AS read_key,
    passage.checkpoint AS checkpoint,
    passage.direction AS direction,
    passage.reads AS reads,
    passage.anomalies AS anomalies
FROM timelines
ARRAY JOIN passages AS passage;

-- One row a visit.
CREATE VIEW visits {on_cluster} AS
SELECT
    plate,
    stay.entered_at AS entered_at,
    stay.exited_at AS exited_at,
    stay.entry_checkpoint AS entry_checkpoint,
    stay.exit_checkpoint AS exit_checkpoint,
    stay.begins AS begins,
    stay.ends AS ends
FROM timelines
ARRAY JOIN stays AS stay
WHERE stay.is_visit;
