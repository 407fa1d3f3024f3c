SELECT
    count() AS `rows`,
    sum(cityHash64(t.log, t.position, t.plate)) AS plate,
    sum(cityHash64(t.log, t.position, t.plate, t.captured_at)) AS captured_at,
    sum(cityHash64(t.log, t.position, t.plate, t.received_at)) AS received_at,
    sum(cityHash64(t.log, t.position, t.plate, t.read_plate)) AS read_plate,
    sum(cityHash64(t.log, t.position, t.plate, t.likelihood)) AS likelihood,
    sum(cityHash64(t.log)) AS log,
    sum(cityHash64(t.position)) AS position
FROM (SELECT * FROM unsure_reads FINAL) AS t;
