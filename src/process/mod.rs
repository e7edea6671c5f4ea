//! The only place that starts child processes: clean environment, time limit, no shell.
