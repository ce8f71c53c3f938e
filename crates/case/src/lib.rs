//! What a sweep remembers: sightings, the queue, answers, the ledger.
