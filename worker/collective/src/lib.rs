//! All-reduce groups over a TCP ring that can be aborted.
