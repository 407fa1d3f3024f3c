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
    look_back_id String,
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
