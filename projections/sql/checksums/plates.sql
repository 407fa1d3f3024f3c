SELECT
    count() AS `rows`,
    sum(cityHash64(t.plate)) AS plate,
    sum(cityHash64(t.log, t.plate)) AS log,
    sum(cityHash64(t.log, t.plate, t.first_seen)) AS first_seen,
    sum(cityHash64(t.log, t.plate, t.last_seen)) AS last_seen,
    sum(cityHash64(t.log, t.plate, t.first_position)) AS first_position,
    sum(cityHash64(t.log, t.plate, t.last_entry)) AS last_entry,
    sum(cityHash64(t.log, t.plate, t.last_exit)) AS last_exit
FROM (SELECT * FROM plates FINAL) AS t;
