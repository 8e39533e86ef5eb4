//! The coordinator: consensus, leader loop and API around the pure state machine.
