//! One attempt against Spectra Intelligence: wire forms, faults, secrets.
