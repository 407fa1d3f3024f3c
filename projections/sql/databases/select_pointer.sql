SELECT sequence, database FROM live_projection ORDER BY sequence DESC LIMIT 1;
