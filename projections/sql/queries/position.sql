SELECT max(position) FROM positions WHERE log = {log:String};
