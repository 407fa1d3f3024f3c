SELECT
    count() AS `rows`,
    sum(cityHash64(log, position, alert_id)) AS alert_id,
    sum(cityHash64(log, position, at)) AS at,
    sum(cityHash64(log, position, state)) AS state,
    sum(cityHash64(log, position, by)) AS by,
    sum(cityHash64(log, position, disposition)) AS disposition,
    sum(cityHash64(log, position, note)) AS note,
    sum(cityHash64(log)) AS log,
    sum(cityHash64(position)) AS position
FROM (SELECT * FROM hotlist_match_states FINAL);
