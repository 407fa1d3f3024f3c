-- The passages and visits of some plates; see the view.
SELECT plate, passages, visits FROM timelines WHERE plate IN {plates:Array(String)};
