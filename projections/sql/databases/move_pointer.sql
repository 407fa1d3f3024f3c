INSERT INTO live_projection (sequence, database)
SELECT coalesce(max(sequence), 0) + 1, {database:String} FROM live_projection;
