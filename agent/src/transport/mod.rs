//! The session with the controller: enrolment, connection, streams, acks, backoff.
