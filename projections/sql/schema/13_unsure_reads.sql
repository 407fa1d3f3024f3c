-- What unsure reads may be: one row for each other plate that the vehicle may have, with the
-- probability of it by the read's posterior. read_plate is the plate as it was read.
CREATE TABLE unsure_reads{_local} {on_cluster}
(
    plate String,
    captured_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    received_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    read_plate String CODEC(ZSTD(1)),
    likelihood Float32 CODEC(ZSTD(1)),
    log LowCardinality(String),
    position UInt64 CODEC(ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree
PARTITION BY toYYYYMM(captured_at)
ORDER BY (plate, captured_at, log, position)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 2048, min_compress_block_size = 16384,
    min_age_to_force_merge_seconds = 86400;

{cluster_only}
CREATE TABLE unsure_reads {on_cluster} AS unsure_reads_local
ENGINE = Distributed({cluster}, currentDatabase(), unsure_reads_local, cityHash64(plate));

-- Reads up to this position of a log have no rows there that can be relied on: they were projected
-- before the table was. A log without a row has them all.
CREATE TABLE unsure_reads_lacking{_local} {on_cluster}
(
    log String,
    position UInt64
)
ENGINE = {replicated}ReplacingMergeTree(position)
ORDER BY log
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

{cluster_only}
CREATE TABLE unsure_reads_lacking {on_cluster} AS unsure_reads_lacking_local
ENGINE = Distributed({cluster}, currentDatabase(), unsure_reads_lacking_local, cityHash64(log));
