"""Memory, threads and open files of a long run."""
