-- Unsure reads, in the order in which a checkpoint saw them: what may fold into one another lies in
-- the same slot of 10 s or in the next.
CREATE TABLE unsure_by_checkpoint{_local} {on_cluster}
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
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 512, min_compress_block_size = 8192,
    min_age_to_force_merge_seconds = 86400;

{cluster_only}
CREATE TABLE unsure_by_checkpoint {on_cluster} AS unsure_by_checkpoint_local
ENGINE = Distributed({cluster}, currentDatabase(), unsure_by_checkpoint_local, cityHash64(plate));

CREATE MATERIALIZED VIEW incoming_to_unsure_by_checkpoint {on_cluster} TO unsure_by_checkpoint{_local} AS
SELECT
    checkpoint, intDiv(toUnixTimestamp64Micro(captured_at), 10000000) AS slot, captured_at, plate,
    lane, direction, confidence, log, position
FROM incoming{_local}
WHERE confidence < toFloat32(0.9);
