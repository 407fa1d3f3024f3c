SELECT log, max(position) FROM positions GROUP BY log ORDER BY log;
