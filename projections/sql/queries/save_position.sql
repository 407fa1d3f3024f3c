INSERT INTO positions (log, position) VALUES ({log:String}, {position:UInt64});
