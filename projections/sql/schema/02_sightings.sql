-- Every read, in plate order: one plate's history is one stretch of each part. Blocks are small, here
-- and in the other tables that questions take a few rows from: a block is unpacked as a whole.
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
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 2048, min_compress_block_size = 16384,
    min_age_to_force_merge_seconds = 86400;

{cluster_only}
CREATE TABLE sightings {on_cluster} AS sightings_local
ENGINE = Distributed({cluster}, currentDatabase(), sightings_local, cityHash64(plate));

CREATE MATERIALIZED VIEW incoming_to_sightings {on_cluster} TO sightings{_local} AS
SELECT
    plate, captured_at, received_at, checkpoint, reader_id, lane, direction, confidence, region,
    time_suspect, log, position
FROM incoming{_local};
