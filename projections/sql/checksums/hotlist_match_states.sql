SELECT
    count() AS `rows`,
    sum(cityHash64(t.log, t.position, t.alert_id)) AS alert_id,
    sum(cityHash64(t.log, t.position, t.at)) AS at,
    sum(cityHash64(t.log, t.position, t.state)) AS state,
    sum(cityHash64(t.log, t.position, t.by)) AS by,
    sum(cityHash64(t.log, t.position, t.disposition)) AS disposition,
    sum(cityHash64(t.log, t.position, t.note)) AS note,
    sum(cityHash64(t.log)) AS log,
    sum(cityHash64(t.position)) AS position
FROM (SELECT * FROM hotlist_match_states FINAL) AS t;
