-- The reads of one day of a made-up city, in the order in which the ring received them, inserted
-- where the follower inserts: every draw is a hash of the seed, the vehicle and the day, so the
-- same question gives the same rows on any machine, however many threads it has.
--
-- seed, vehicles, day (from 0), midnight (microseconds since 1970 of that day's beginning), weekend,
-- codes (the checkpoints, busiest first), readers (how many each has), log, first (position).
INSERT INTO incoming
(
    log, position, plate, captured_at, received_at, read_key, checkpoint, reader_id, lane, direction,
    confidence, region, time_suspect
)
WITH
    -- 0 <= u < 1, the k-th of a hash; bell: mean 0, deviation 1.
    (h, k) -> intHash64(toUInt64(h) + k) / 18446744073709551616. AS u,
    (h, k) -> 2 * (u(h, k) + u(h, k + 1) + u(h, k + 2) - 1.5) AS bell,
    length({codes:Array(String)}) AS gates,
    -- A few roads carry most of the traffic.
    (h, k) -> toUInt32(floor(gates * pow(u(h, k), 1.7))) AS busy_gate,
    (n, digits) -> leftPad(toString(n), digits, '0') AS padded,
    n -> substring('ABCDEFGHIJKLMNOPQRSTUVWXYZ', 1 + n % 26, 1) AS letter
SELECT
    {log:String},
    position,
    if(misread, concat(substring(true_plate, 1, wrong_at - 1), wrong_letter, substring(true_plate, wrong_at + 1)), true_plate),
    fromUnixTimestamp64Micro(captured, 'UTC'),
    fromUnixTimestamp64Micro(received, 'UTC'),
    cityHash64({seed:UInt64}, position),
    {codes:Array(String)}[gate + 1] AS checkpoint,
    concat(checkpoint, '-', padded(2 * lane + direction + 1, 2)),
    toString(lane + 1),
    direction + 1,
    toFloat32(multiIf(
        misread, 0.35 + 0.5 * u(draw, 6),
        u(draw, 7) < 0.015, 0.15 + 0.45 * u(draw, 6),
        0.999 - 0.25 * pow(u(draw, 6), 4)
    )),
    region,
    false
FROM
(
    SELECT
        *,
        {first:UInt64} + rowNumberInAllBlocks() AS position,
        multiIf(registered % 20 = 0, 'BR', registered % 100 = 1, 'UY', 'AR') AS region,
        -- One to one: the multiplier has no factor in common with how many there are.
        toUInt64((registered * 48271 + {seed:UInt64}) % 5408000) AS n,
        multiIf(
            region = 'BR', concat(letter(intDiv(n, 676000)), letter(intDiv(n, 26000)), letter(intDiv(n, 1000)), toString(n % 10), letter(intDiv(n, 10) % 10), padded(intDiv(n, 100) % 100, 2)),
            region = 'UY', concat('S', letter(intDiv(n, 260000)), letter(intDiv(n, 10000)), padded(n % 10000, 4)),
            registered % 20 < 12, concat('A', letter(intDiv(n, 676000)), padded(n % 1000, 3), letter(intDiv(n, 26000)), letter(intDiv(n, 1000))),
            concat(letter(3 + intDiv(n, 676000)), letter(intDiv(n, 26000)), letter(intDiv(n, 1000)), padded(n % 1000, 3))
        ) AS true_plate,
        -- A misread takes one character for another that looks like it.
        toUInt32(1 + floor(length(true_plate) * u(draw, 4))) AS wrong_at,
        substring(true_plate, wrong_at, 1) AS right_letter,
        if(
            u(draw, 5) < 0.5,
            translate(right_letter, '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'O7ZBASCTRGHDGQFPCNIJXIWHQFDPEYVNMKXS'),
            translate(right_letter, '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'DIZ8H6G183RPQ0EE6M1IHLN0R0BZIUVUVKY2')
        ) AS wrong_letter,
        u(draw, 3) < 0.015 AND wrong_letter != right_letter AS misread
    FROM
    (
        -- Numbers alone are put in order: names come after.
        SELECT
            registered, draw,
            toUInt8(gate) AS gate, toUInt8(lane) AS lane, toUInt8(direction) AS direction,
            toUInt16(gate * 16 + 2 * lane + direction) AS reader,
            {midnight:Int64} + toInt64(3.6e9 * hour) + 700000 * nth + toInt64(400000 * u(draw, 1)) AS seen,
            -- One reader in 400 has a clock that is seven minutes ahead; one reader in 200 a day has
            -- no line, and sends what it kept three hours later.
            seen + if(cityHash64({seed:UInt64}, 'clock', reader) % 400 = 0, 420000000, 0) AS captured,
            seen + 150000 + toInt64(1200000 * u(draw, 2))
                + if(cityHash64({seed:UInt64}, 'line', reader, {day:UInt32}) % 200 = 0, 10800000000, 0) AS received
        FROM
        (
            SELECT
                *,
                nth,
                cityHash64(passing, vehicle, nth) AS draw,
                toUInt32(floor(lanes * u(cityHash64(passing, vehicle), 5))) AS own_lane,
                -- A further read comes from the same reader or from its neighbour.
                if(nth > 0 AND u(draw, 8) < 0.5, if(own_lane = 0, 1, own_lane - 1), own_lane) AS lane
            FROM
            (
                SELECT
                    *,
                    leg,
                    cityHash64(trip_draw, leg) AS passing,
                    (leg + outbound) % 2 AS direction,
                    -- Who travels behind another is 20 to 90 s later at the same places.
                    least(23.99, if(leg = 0, begins, ends) + if(vehicle = leader, 0, (20 + 70 * u(passing, 9)) / 3600)) AS hour,
                    if(u(passing, 1) < if(leg = 0, 0.85, 0.7), home, busy_gate(passing, 2)) AS gate,
                    intDiv({readers:Array(UInt32)}[gate + 1] + 1 - direction, 2) AS lanes,
                    cityHash64(passing, vehicle) AS count_draw,
                    multiIf(u(count_draw, 3) < 0.02, 0, u(count_draw, 4) < 0.7, 1, u(count_draw, 4) < 0.92, 2, 3) AS reads
                FROM
                (
                    SELECT
                        vehicle, leader, home, registered, outbound,
                        cityHash64(day_draw, trip) AS trip_draw,
                        greatest(0.02, multiIf(
                            kind = 'taxi', 5 + 18 * (trip + 0.5 * u(trip_draw, 1)) / trips,
                            kind = 'inward', 8 + 0.9 * bell(trip_draw, 1),
                            kind = 'outward', 7.6 + 0.9 * bell(trip_draw, 1),
                            7 + 6 * (u(trip_draw, 1) + u(trip_draw, 2))
                        )) AS begins,
                        multiIf(
                            kind = 'taxi', 18 / trips * (0.2 + 0.25 * u(trip_draw, 4)),
                            kind = 'inward', 9 + 0.8 * bell(trip_draw, 4),
                            kind = 'outward', 10.5 + bell(trip_draw, 4),
                            exp(0.5 + 0.8 * bell(trip_draw, 4))
                        ) AS lasts,
                        -- Long enough to cross the city.
                        least(23.98, begins + greatest(0.4, lasts)) AS ends
                    FROM
                    (
                        SELECT
                            number AS vehicle,
                            if(cityHash64({seed:UInt64}, 'convoy', number) % 1000 = 0 AND number > 0, number - 1, number) AS leader,
                            cityHash64({seed:UInt64}, 'vehicle', leader) AS habit,
                            cityHash64({seed:UInt64}, 'day', leader, {day:UInt32}) AS day_draw,
                            multiIf(u(habit, 1) < 0.02, 'taxi', u(habit, 1) < 0.21, 'inward', u(habit, 1) < 0.33, 'outward', 'now and then') AS kind,
                            kind = 'outward' AS outbound,
                            busy_gate(habit, 2) AS home,
                            toUInt32(multiIf(
                                kind = 'taxi', 2 + floor(7 * u(habit, 3)),
                                kind IN ('inward', 'outward'), u(day_draw, 1) < if({weekend:Bool}, 0.15, 0.95),
                                u(day_draw, 1) < least(0.9, 0.0388 * pow(u(habit, 3), -0.7))
                            )) AS trips,
                            -- One plate in 20,000 is on two vehicles.
                            if(cityHash64({seed:UInt64}, 'clone', number) % 20000 = 0, bitXor(number, 1), number) AS registered
                        FROM numbers_mt({vehicles:UInt64})
                        WHERE trips > 0
                    )
                    ARRAY JOIN range(trips) AS trip
                )
                ARRAY JOIN [0, 1] AS leg
            )
            ARRAY JOIN range(reads) AS nth
        )
    )
    -- One number is put in order much faster than two.
    ORDER BY bitShiftLeft(received - {midnight:Int64}, 20) + bitAnd(draw, 1048575)
)
SETTINGS query_plan_remove_redundant_sorting = 0;
