//! What the user points at becomes sightings: walk, read, hash, lists.
