SELECT name, total_rows FROM system.tables
WHERE database = currentDatabase() AND total_rows IS NOT NULL
ORDER BY name;
