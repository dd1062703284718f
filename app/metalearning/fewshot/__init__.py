"""Classification from a handful of labelled rows: what is asked, and by which method it is answered."""
