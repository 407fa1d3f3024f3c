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
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 1024, min_compress_block_size = 16384,
    min_age_to_force_merge_seconds = 86400;

{cluster_only}
CREATE TABLE sightings_by_checkpoint {on_cluster} AS sightings_by_checkpoint_local
ENGINE = Distributed({cluster}, currentDatabase(), sightings_by_checkpoint_local, cityHash64(plate));

CREATE MATERIALIZED VIEW incoming_to_sightings_by_checkpoint {on_cluster} TO sightings_by_checkpoint{_local} AS
SELECT checkpoint, captured_at, plate, lane, direction, confidence, log, position
FROM incoming{_local};
