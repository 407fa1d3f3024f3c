{single_only}
SELECT name, total_rows FROM system.tables
WHERE database = {database:String} AND total_rows IS NOT NULL
ORDER BY name;

{cluster_only}
SELECT replaceRegexpOne(name, '_local$', '') AS `table`, sum(total_rows)
FROM cluster({cluster}, system.tables)
WHERE database = {database:String} AND total_rows IS NOT NULL AND engine != 'Distributed'
GROUP BY `table`
ORDER BY `table`;
