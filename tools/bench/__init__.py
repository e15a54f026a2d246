"""`make bench`: how fast, beside what is possible here: a raw trio echo and pgbench, all measured in one run."""
