-- Which database the questions are answered from: the last row's. It has been so since the first
-- version and stays so: this table has no migrations.
CREATE TABLE IF NOT EXISTS live_projection{_local} {on_cluster}
(
    sequence UInt64,
    database String,
    since DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {replicated}MergeTree
ORDER BY sequence;

{cluster_only}
CREATE TABLE IF NOT EXISTS live_projection {on_cluster} AS live_projection_local
ENGINE = Distributed({cluster}, currentDatabase(), live_projection_local, sequence);
