SELECT
    count() AS `rows`,
    sum(cityHash64(code)) AS code,
    sum(cityHash64(code, name)) AS name,
    sum(cityHash64(code, latitude)) AS latitude,
    sum(cityHash64(code, longitude)) AS longitude,
    sum(cityHash64(code, placed_at)) AS placed_at,
    sum(cityHash64(code, log)) AS log,
    sum(cityHash64(code, position)) AS position
FROM (SELECT * FROM checkpoints FINAL);
