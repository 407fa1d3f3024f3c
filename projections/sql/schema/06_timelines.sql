-- A plate's passages and visits, out of the set of all its reads: nothing here depends on the order
-- in which they arrived. What questions ask, one row a plate, has bare tuples in it: naming their
-- elements takes the planner longer than everything else. passages and visits are for reports, one
-- row each, misreads not folded.

-- passages, in order of time: reads at one checkpoint and direction, each at most 60 s after the one
-- before. Each: its time, which is its first read's; that read's key, which breaks ties; its last
-- read's time; checkpoint; direction; how many reads. Times in microseconds.
CREATE VIEW plate_passages {on_cluster} AS
SELECT
    plate,
    arraySort(p -> (p.1, p.2), arrayMap(
        run -> (run[1].3, run[1].4, run[-1].3, run[1].1, run[1].2, toUInt32(length(run))),
        arraySplit(
            (r, before) -> r.1 != before.1 OR r.2 != before.2 OR r.3 > before.3 + 60000000,
            sorted, arrayPopBack(arrayPushFront(sorted, sorted[1]))
        )
    )) AS passages
FROM
(
    SELECT
        plate,
        arraySort(arrayMap(
            r -> (r.checkpoint, toInt8(r.direction), toUnixTimestamp64Micro(r.captured_at), r.read_key),
            groupUniqArrayMerge(reads)
        )) AS sorted
    FROM movements
    GROUP BY plate
);

-- visits, in order of time. Every entry begins one, and so does every exit that no entry comes
-- before; an entry's visit ends with an exit that comes next. Each is what was seen of it: its entry,
-- or its exit, or both. A passage of unknown direction is no evidence of either.
CREATE VIEW timelines {on_cluster} AS
SELECT
    plate, passages,
    arraySplit(
        (p, before) -> p.5 = 1 OR before.5 != 1,
        crossings, arrayPopBack(arrayPushFront(crossings, crossings[1]))
    ) AS visits
FROM (SELECT plate, passages, arrayFilter(p -> p.5 != 0, passages) AS crossings FROM plate_passages);

CREATE VIEW passages {on_cluster} AS
SELECT
    plate,
    fromUnixTimestamp64Micro(passage.1, 'UTC') AS at,
    fromUnixTimestamp64Micro(passage.3, 'UTC') AS until,
    passage.4 AS checkpoint,
    CAST(passage.5, 'Enum8(\'unknown\' = 0, \'entry\' = 1, \'exit\' = 2)') AS direction,
    passage.6 AS reads
FROM plate_passages ARRAY JOIN passages AS passage;

CREATE VIEW visits {on_cluster} AS
SELECT
    plate,
    if(visit[1].5 = 1, fromUnixTimestamp64Micro(visit[1].1, 'UTC'), NULL) AS entered_at,
    if(visit[-1].5 = 2, fromUnixTimestamp64Micro(visit[-1].1, 'UTC'), NULL) AS exited_at,
    if(visit[1].5 = 1, visit[1].4, '') AS entry_checkpoint,
    if(visit[-1].5 = 2, visit[-1].4, '') AS exit_checkpoint
FROM timelines ARRAY JOIN visits AS visit;
