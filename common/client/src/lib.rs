//! The client of the coordinator used by the command line, agent and worker.
