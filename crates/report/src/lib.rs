//! A case into text: CSV, JSONL, tables and the summary.
