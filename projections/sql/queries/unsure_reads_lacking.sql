SELECT max(position) FROM unsure_reads_lacking WHERE log = {log:String};
