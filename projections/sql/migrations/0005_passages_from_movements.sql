-- Passages too are made where the question is answered: planning the view took longer than reading.
DROP VIEW IF EXISTS plate_passages {on_cluster};
