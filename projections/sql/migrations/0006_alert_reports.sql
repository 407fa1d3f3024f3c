-- What reports on alerts need: which looking back raised one, zones, every change of state.
ALTER TABLE hotlist_matches{_local} {on_cluster}
    ADD COLUMN IF NOT EXISTS look_back_id String AFTER delayed;
{cluster_only}
ALTER TABLE hotlist_matches {on_cluster}
    ADD COLUMN IF NOT EXISTS look_back_id String AFTER delayed;

-- Which zone each checkpoint was put in, once a placement.
CREATE TABLE IF NOT EXISTS checkpoint_zones{_local} {on_cluster}
(
    code LowCardinality(String),
    zone LowCardinality(String),
    placed_at DateTime64(6, 'UTC'),
    log LowCardinality(String),
    position UInt64
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (code, log, position)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

{cluster_only}
CREATE TABLE IF NOT EXISTS checkpoint_zones {on_cluster} AS checkpoint_zones_local
ENGINE = Distributed({cluster}, currentDatabase(), checkpoint_zones_local, cityHash64(code));

DROP VIEW IF EXISTS alerts {on_cluster};
-- Each match with its zone when it was raised, its vehicle (under a pattern the plate that was
-- read, else the entry's) and what became of it: every change in order, and the latest state.
CREATE VIEW alerts {on_cluster} AS
SELECT
    a.*,
    z.zone AS zone,
    if(match(a.entry_plate, '[?*]'), a.plate, a.entry_plate) AS vehicle,
    if(empty(a.changes), 'raised', toString(a.changes[-1].state)) AS state,
    a.changes[-1].disposition AS disposition,
    if(empty(a.changes), a.raised_at, a.changes[-1].at) AS changed_at
FROM
(
    SELECT m.*, s.changes
    FROM (SELECT * FROM hotlist_matches FINAL) AS m
    LEFT JOIN
    (
        SELECT
            alert_id,
            arraySort(groupUniqArray(CAST(
                (position, state, at, by, disposition, note),
                'Tuple(position UInt64, state Enum8(\'acknowledged\' = 2, \'resolved\' = 3), at DateTime64(6, \'UTC\'), by String, disposition String, note String)'
            ))) AS changes
        FROM hotlist_match_states
        GROUP BY alert_id
    ) AS s USING (alert_id)
) AS a
ASOF LEFT JOIN
(
    -- A clock that was set back does not undo what was said after.
    SELECT code, log AS of_log, since, argMax(zone, position) AS zone
    FROM
    (
        SELECT
            code, log, position, zone,
            max(placed_at) OVER (
                PARTITION BY code, log ORDER BY position
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS since
        FROM checkpoint_zones
    )
    GROUP BY code, log, since
) AS z ON a.log = z.of_log AND a.checkpoint = z.code AND a.raised_at >= z.since;
