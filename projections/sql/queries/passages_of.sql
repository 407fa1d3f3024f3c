-- The passages of one plate, in order of time; see the view.
SELECT plate, passages FROM plate_passages WHERE plate = {plate:String};
