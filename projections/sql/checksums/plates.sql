SELECT
    count() AS `rows`,
    sum(cityHash64(plate)) AS plate,
    sum(cityHash64(log, plate)) AS log,
    sum(cityHash64(log, plate, first_seen)) AS first_seen,
    sum(cityHash64(log, plate, last_seen)) AS last_seen,
    sum(cityHash64(log, plate, first_position)) AS first_position
FROM (SELECT * FROM plates FINAL);
