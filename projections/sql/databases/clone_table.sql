-- Shares the parts of the original: no data is copied.
CREATE TABLE {copy:Identifier}.{table:Identifier} CLONE AS {original:Identifier}.{table:Identifier};
