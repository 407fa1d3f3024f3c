SELECT DISTINCT log FROM positions WHERE log != {log:String};
