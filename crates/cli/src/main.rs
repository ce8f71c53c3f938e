//! hashsweep.
fn main() {}
