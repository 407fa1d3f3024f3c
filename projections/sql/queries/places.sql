-- Where the checkpoints stand.
SELECT code, latitude, longitude FROM checkpoints FINAL ORDER BY code;
