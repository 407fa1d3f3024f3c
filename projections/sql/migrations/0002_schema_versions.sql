-- From now on a database says which version its schema has.
CREATE TABLE IF NOT EXISTS schema_versions{_local} {on_cluster}
(
    version UInt32,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {replicated}MergeTree
ORDER BY version
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

{cluster_only}
CREATE TABLE IF NOT EXISTS schema_versions {on_cluster} AS schema_versions_local
ENGINE = Distributed({cluster}, currentDatabase(), schema_versions_local, version);
