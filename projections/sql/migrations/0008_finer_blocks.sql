-- A few rows of a table are found quicker where its blocks are small. What is kept already gets them
-- as its parts are merged, or by ring rebuild; only the table in checkpoint order is written anew, as
-- its index becomes finer: a minute or two at 100 million reads.
ALTER TABLE sightings{_local} {on_cluster} MODIFY SETTING min_compress_block_size = 16384;
ALTER TABLE movements{_local} {on_cluster} MODIFY SETTING min_compress_block_size = 16384;
ALTER TABLE unsure_reads{_local} {on_cluster} MODIFY SETTING min_compress_block_size = 16384;
ALTER TABLE plates{_local} {on_cluster} MODIFY SETTING min_age_to_force_merge_seconds = 600;

-- Whatever of this was done already, the table is copied once more, and nothing of it is lost.
{cluster_only}
DROP TABLE IF EXISTS sightings_by_checkpoint_next {on_cluster} SYNC;
DROP TABLE IF EXISTS sightings_by_checkpoint_next{_local} {on_cluster} SYNC;
CREATE TABLE sightings_by_checkpoint_next{_local} {on_cluster}
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
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 1024, min_compress_block_size = 16384;

{cluster_only}
CREATE TABLE sightings_by_checkpoint_next {on_cluster} AS sightings_by_checkpoint_next_local
ENGINE = Distributed({cluster}, currentDatabase(), sightings_by_checkpoint_next_local, cityHash64(plate));

INSERT INTO sightings_by_checkpoint_next SELECT * FROM sightings_by_checkpoint;
DROP VIEW IF EXISTS incoming_to_sightings_by_checkpoint {on_cluster};
EXCHANGE TABLES sightings_by_checkpoint{_local} AND sightings_by_checkpoint_next{_local} {on_cluster};
CREATE MATERIALIZED VIEW IF NOT EXISTS incoming_to_sightings_by_checkpoint {on_cluster} TO sightings_by_checkpoint{_local} AS
SELECT checkpoint, captured_at, plate, lane, direction, confidence, log, position
FROM incoming{_local};
{cluster_only}
DROP TABLE sightings_by_checkpoint_next {on_cluster} SYNC;
DROP TABLE sightings_by_checkpoint_next{_local} {on_cluster} SYNC;

-- Unsure reads, in the order in which a checkpoint saw them: what may fold into one another lies in
-- the same slot of 10 s or in the next.
CREATE TABLE IF NOT EXISTS unsure_by_checkpoint{_local} {on_cluster}
(
    checkpoint LowCardinality(String),
    slot Int64 CODEC(Delta, ZSTD(1)),
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
ORDER BY (checkpoint, slot, captured_at, plate, log, position)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 512, min_compress_block_size = 8192;

{cluster_only}
CREATE TABLE IF NOT EXISTS unsure_by_checkpoint {on_cluster} AS unsure_by_checkpoint_local
ENGINE = Distributed({cluster}, currentDatabase(), unsure_by_checkpoint_local, cityHash64(plate));

CREATE MATERIALIZED VIEW IF NOT EXISTS incoming_to_unsure_by_checkpoint {on_cluster} TO unsure_by_checkpoint{_local} AS
SELECT
    checkpoint, intDiv(toUnixTimestamp64Micro(captured_at), 10000000) AS slot, captured_at, plate,
    lane, direction, confidence, log, position
FROM incoming{_local}
WHERE confidence < toFloat32(0.9);

INSERT INTO unsure_by_checkpoint
SELECT
    checkpoint, intDiv(toUnixTimestamp64Micro(captured_at), 10000000), captured_at, plate,
    lane, direction, confidence, log, position
FROM sightings_by_checkpoint
WHERE confidence < toFloat32(0.9);
