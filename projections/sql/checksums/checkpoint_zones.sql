SELECT
    count() AS `rows`,
    sum(cityHash64(t.log, t.position, t.code)) AS code,
    sum(cityHash64(t.log, t.position, t.zone)) AS zone,
    sum(cityHash64(t.log, t.position, t.placed_at)) AS placed_at,
    sum(cityHash64(t.log)) AS log,
    sum(cityHash64(t.position)) AS position
FROM (SELECT * FROM checkpoint_zones FINAL) AS t;
