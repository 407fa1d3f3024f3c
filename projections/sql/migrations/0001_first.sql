-- The schema of version 1, whole, as it was: what databases without a recorded version have.
-- Never run on one of those; the tests begin here.

-- What the follower inserts into. It keeps nothing: the materialized views fan out from it.
-- captured_at is the time that counts: the reader's, or the time of receipt where the reader's
-- clock can't be right (time_suspect). read_key: the first 64 bits of the read's id.
CREATE TABLE incoming{_local} {on_cluster}
(
    log LowCardinality(String),
    position UInt64,
    plate String,
    captured_at DateTime64(6, 'UTC'),
    received_at DateTime64(6, 'UTC'),
    read_key UInt64,
    checkpoint LowCardinality(String),
    reader_id LowCardinality(String),
    lane LowCardinality(String),
    direction Enum8('unknown' = 0, 'entry' = 1, 'exit' = 2),
    confidence Float32,
    region LowCardinality(String),
    time_suspect Bool
)
ENGINE = Null;

{cluster_only}
CREATE TABLE incoming {on_cluster} AS incoming_local
ENGINE = Distributed({cluster}, currentDatabase(), incoming_local, cityHash64(plate));

-- Every read, in plate order: one plate's history is one stretch of each part.
CREATE TABLE sightings{_local} {on_cluster}
(
    plate String,
    captured_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    received_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    checkpoint LowCardinality(String),
    reader_id LowCardinality(String),
    lane LowCardinality(String),
    direction Enum8('unknown' = 0, 'entry' = 1, 'exit' = 2),
    confidence Float32 CODEC(ZSTD(1)),
    region LowCardinality(String),
    time_suspect Bool,
    log LowCardinality(String),
    position UInt64 CODEC(ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree
PARTITION BY toYYYYMM(captured_at)
ORDER BY (plate, captured_at, log, position)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 2048;

{cluster_only}
CREATE TABLE sightings {on_cluster} AS sightings_local
ENGINE = Distributed({cluster}, currentDatabase(), sightings_local, cityHash64(plate));

CREATE MATERIALIZED VIEW incoming_to_sightings {on_cluster} TO sightings{_local} AS
SELECT
    plate, captured_at, received_at, checkpoint, reader_id, lane, direction, confidence, region,
    time_suspect, log, position
FROM incoming{_local};

-- Every read, in the order in which a checkpoint saw them.
CREATE TABLE sightings_by_checkpoint{_local} {on_cluster}
(
    checkpoint LowCardinality(String),
    captured_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    plate String CODEC(ZSTD(1)),
    lane LowCardinality(String),
    direction Enum8('unknown' = 0, 'entry' = 1, 'exit' = 2),
    confidence Float32 CODEC(ZSTD(1)),
    log LowCardinality(String),
    position UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree
PARTITION BY toYYYYMM(captured_at)
ORDER BY (checkpoint, captured_at, plate, log, position)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

{cluster_only}
CREATE TABLE sightings_by_checkpoint {on_cluster} AS sightings_by_checkpoint_local
ENGINE = Distributed({cluster}, currentDatabase(), sightings_by_checkpoint_local, cityHash64(plate));

CREATE MATERIALIZED VIEW incoming_to_sightings_by_checkpoint {on_cluster} TO sightings_by_checkpoint{_local} AS
SELECT checkpoint, captured_at, plate, lane, direction, confidence, log, position
FROM incoming{_local};

-- Every plate once a log. Minima and maxima are the same however often a read comes.
CREATE TABLE plates{_local} {on_cluster}
(
    plate String,
    log LowCardinality(String),
    first_seen SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
    last_seen SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    first_position SimpleAggregateFunction(min, UInt64)
)
ENGINE = {replicated}AggregatingMergeTree
ORDER BY (plate, log)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

{cluster_only}
CREATE TABLE plates {on_cluster} AS plates_local
ENGINE = Distributed({cluster}, currentDatabase(), plates_local, cityHash64(plate));

CREATE MATERIALIZED VIEW incoming_to_plates {on_cluster} TO plates{_local} AS
SELECT
    plate, log, min(captured_at) AS first_seen, max(captured_at) AS last_seen,
    min(position) AS first_position
FROM incoming{_local}
GROUP BY plate, log;

-- One converging row a plate and day (UTC): the set of its reads. A set is the same in whatever
-- order the reads arrive and however often they come.
CREATE TABLE movements{_local} {on_cluster}
(
    plate String,
    day Date32,
    reads AggregateFunction(groupUniqArray, Tuple(
        captured_at DateTime64(6, 'UTC'),
        read_key UInt64,
        checkpoint String,
        direction Enum8('unknown' = 0, 'entry' = 1, 'exit' = 2)))
)
ENGINE = {replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (plate, day)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 1024;

{cluster_only}
CREATE TABLE movements {on_cluster} AS movements_local
ENGINE = Distributed({cluster}, currentDatabase(), movements_local, cityHash64(plate));

CREATE MATERIALIZED VIEW incoming_to_movements {on_cluster} TO movements{_local} AS
SELECT
    plate,
    toDate32(captured_at) AS day,
    groupUniqArrayState(CAST(
        (captured_at, read_key, checkpoint, direction),
        'Tuple(captured_at DateTime64(6, \'UTC\'), read_key UInt64, checkpoint String, direction Enum8(\'unknown\' = 0, \'entry\' = 1, \'exit\' = 2))'
    )) AS reads
FROM incoming{_local}
GROUP BY plate, day;

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

-- A read that matched a hotlist entry, once an alert. entry_*: what the list asked for; the
-- other columns: what was seen.
CREATE TABLE hotlist_matches{_local} {on_cluster}
(
    alert_id String,
    raised_at DateTime64(6, 'UTC'),
    agency LowCardinality(String),
    hotlist LowCardinality(String),
    hotlist_version UInt64,
    entry_id String,
    entry_plate String,
    entry_reason String,
    entry_priority LowCardinality(String),
    entry_reference String,
    plate String,
    captured_at DateTime64(6, 'UTC'),
    checkpoint LowCardinality(String),
    reader_id LowCardinality(String),
    lane LowCardinality(String),
    direction Enum8('unknown' = 0, 'entry' = 1, 'exit' = 2),
    confidence Float32,
    read_id String,
    read_position UInt64,
    match_probability Float32,
    match_path Array(String),
    delayed Bool,
    log LowCardinality(String),
    position UInt64
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY alert_id
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

{cluster_only}
CREATE TABLE hotlist_matches {on_cluster} AS hotlist_matches_local
ENGINE = Distributed({cluster}, currentDatabase(), hotlist_matches_local, cityHash64(plate));

-- What became of it: one row an acknowledgement or resolution.
CREATE TABLE hotlist_match_states{_local} {on_cluster}
(
    alert_id String,
    at DateTime64(6, 'UTC'),
    state Enum8('acknowledged' = 2, 'resolved' = 3),
    by String,
    disposition LowCardinality(String),
    note String,
    log LowCardinality(String),
    position UInt64
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (alert_id, log, position)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

{cluster_only}
CREATE TABLE hotlist_match_states {on_cluster} AS hotlist_match_states_local
ENGINE = Distributed({cluster}, currentDatabase(), hotlist_match_states_local, cityHash64(alert_id));

-- Each match with its latest state.
CREATE VIEW alerts {on_cluster} AS
SELECT
    m.*,
    if(s.alert_id = '', 'raised', toString(s.last_state)) AS state,
    s.last_disposition AS disposition,
    if(s.alert_id = '', m.raised_at, s.last_at) AS changed_at
FROM (SELECT * FROM hotlist_matches FINAL) AS m
LEFT JOIN
(
    SELECT
        alert_id,
        argMax(state, position) AS last_state,
        argMax(disposition, position) AS last_disposition,
        argMax(at, position) AS last_at
    FROM hotlist_match_states
    GROUP BY alert_id
) AS s USING (alert_id);

-- Where the checkpoints stand, as last registered or moved.
CREATE TABLE checkpoints{_local} {on_cluster}
(
    code String,
    name String,
    latitude Float64,
    longitude Float64,
    placed_at DateTime64(6, 'UTC'),
    log LowCardinality(String),
    position UInt64
)
ENGINE = {replicated}ReplacingMergeTree(position)
ORDER BY code
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

{cluster_only}
CREATE TABLE checkpoints {on_cluster} AS checkpoints_local
ENGINE = Distributed({cluster}, currentDatabase(), checkpoints_local, cityHash64(code));

-- How far each log has been applied: every row of an event up to here is in the tables above.
-- Those are on the disk before the position is saved (fsync_after_insert): after a power cut it may
-- be behind them, never ahead.
CREATE TABLE positions{_local} {on_cluster}
(
    log String,
    position UInt64,
    saved_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {replicated}ReplacingMergeTree(position)
ORDER BY log;

{cluster_only}
CREATE TABLE positions {on_cluster} AS positions_local
ENGINE = Distributed({cluster}, currentDatabase(), positions_local, cityHash64(log));
