SELECT
    count() AS `rows`,
    sum(cityHash64(t.code)) AS code,
    sum(cityHash64(t.code, t.name)) AS name,
    sum(cityHash64(t.code, t.latitude)) AS latitude,
    sum(cityHash64(t.code, t.longitude)) AS longitude,
    sum(cityHash64(t.code, t.placed_at)) AS placed_at,
    sum(cityHash64(t.code, t.log)) AS log,
    sum(cityHash64(t.code, t.position)) AS position
FROM (SELECT * FROM checkpoints FINAL) AS t;
