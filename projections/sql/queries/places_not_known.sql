-- The checkpoints that places.sql leaves out.
SELECT code FROM checkpoints FINAL WHERE latitude = 0 AND longitude = 0 ORDER BY code;
