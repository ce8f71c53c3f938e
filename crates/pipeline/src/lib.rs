//! The order of rooms and the doors between them; the only place that waits.
