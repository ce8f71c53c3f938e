//! Parquet: rows with types, for `DuckDB`, Spark and whoever reads many nights as one table.
//!
//! The names of the CSV where the values are texts, so that a query moves from one to the other; typed columns stand
//! beside them: digests as bytes, moments as timestamps. Rows wait in columns until a row group is full; that is
//! the memory this takes. What is absent is null.

use crate::columns::{ListNames, when};
use crate::{Record, safe};
use hashsweep_model::{Digest, HashKind, Row, Stamp};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use std::io::{self, Write};
use std::sync::Arc;

/// Rows of a row group: large enough for dictionaries and statistics to pay, small enough to be held. A guess,
/// unmeasured.
const GROUP: usize = 1 << 16;

/// In the order of [`ParquetReport::row`]. New columns are only ever added at the end.
const SCHEMA: &str = "message hashsweep {
    REQUIRED BYTE_ARRAY path (STRING);
    OPTIONAL BYTE_ARRAY path_raw;
    OPTIONAL INT64 size;
    OPTIONAL BYTE_ARRAY md5 (STRING);
    OPTIONAL BYTE_ARRAY sha1 (STRING);
    OPTIONAL BYTE_ARRAY sha256 (STRING);
    OPTIONAL FIXED_LEN_BYTE_ARRAY(16) md5_bytes;
    OPTIONAL FIXED_LEN_BYTE_ARRAY(20) sha1_bytes;
    OPTIONAL FIXED_LEN_BYTE_ARRAY(32) sha256_bytes;
    OPTIONAL BYTE_ARRAY verdict (STRING);
    REQUIRED BYTE_ARRAY outcome (STRING);
    OPTIONAL BYTE_ARRAY reason (STRING);
    OPTIONAL BYTE_ARRAY threat_name (STRING);
    OPTIONAL INT64 threat_level;
    OPTIONAL INT64 trust_factor;
    OPTIONAL INT64 scanner_match;
    OPTIONAL INT64 scanner_count;
    OPTIONAL BYTE_ARRAY first_seen (STRING);
    OPTIONAL BYTE_ARRAY last_seen (STRING);
    OPTIONAL INT64 first_seen_at (TIMESTAMP(MILLIS,true));
    OPTIONAL INT64 last_seen_at (TIMESTAMP(MILLIS,true));
    OPTIONAL INT64 answered_at (TIMESTAMP(MILLIS,true));
    OPTIONAL BYTE_ARRAY source (STRING);
    OPTIONAL INT64 inode (INTEGER(64,false));
    OPTIONAL INT64 modified_at (TIMESTAMP(MICROS,true));
    OPTIONAL INT64 changed_at (TIMESTAMP(MICROS,true));
    OPTIONAL INT64 born_at (TIMESTAMP(MICROS,true));
    REQUIRED INT64 sweep;
    REQUIRED INT64 sweep_started_at (TIMESTAMP(MILLIS,true));
}";

/// Nearly every value is another one, so a dictionary would only be tried and thrown away.
const WITHOUT_DICTIONARY: [&str; 7] =
    ["path", "md5", "sha1", "sha256", "md5_bytes", "sha1_bytes", "sha256_bytes"];

/// A file being written. Dropping it without [`finish`](ParquetReport::finish) leaves a file without its footer, which
/// no reader takes.
pub struct ParquetReport<W: Write> {
    out: W,
    /// Writes to memory, which is emptied into `out` after each row group: it wants to own what it writes to.
    writer: SerializedFileWriter<Vec<u8>>,
    names: ListNames,
    sweep: i64,
    sweep_started_at: Stamp,
    columns: Vec<Column>,
    n_rows: usize,
}

/// The waiting values of one column, and for each row whether it has one.
#[derive(Default)]
struct Column {
    texts: Vec<ByteArray>,
    fixed: Vec<FixedLenByteArray>,
    numbers: Vec<i64>,
    is_there: Vec<i16>,
}

/// One cell.
enum Value {
    Null,
    Text(Vec<u8>),
    Fixed(Vec<u8>),
    Number(i64),
}

impl<W: Write> ParquetReport<W> {
    /// Writes what stands before the rows.
    pub fn new(out: W, names: ListNames, record: &Record) -> io::Result<ParquetReport<W>> {
        let schema = Arc::new(parse_message_type(SCHEMA).expect("the schema above is well formed"));
        let about = |key: &str, value: String| KeyValue::new(format!("hashsweep.{key}"), value);
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("hashsweep version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_key_value_metadata(Some(vec![
                about("sweep", record.sweep.to_string()),
                about("command", record.command.clone()),
                about("case", safe::text(&record.case_name).into_owned()),
                about("started_at", when(record.started_at)),
                about("simulated", record.simulated.to_string()),
            ]));
        for column in WITHOUT_DICTIONARY {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
        }
        let columns = schema.get_fields().iter().map(|_| Column::default()).collect();
        let writer =
            SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build())).map_err(fault)?;
        let (sweep, sweep_started_at) = (record.sweep, record.started_at);
        Ok(ParquetReport { out, writer, names, sweep, sweep_started_at, columns, n_rows: 0 })
    }

    /// Takes a row in.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        let path = self.names.path(row);
        let raw = if std::str::from_utf8(&path).is_err() { Value::Text(path.to_vec()) } else { Value::Null };
        let digest = |kind| row.digests.get(kind);
        let hex = |kind| text(digest(kind).map(|digest| digest.to_string()));
        let bytes = |kind| {
            digest(kind).map_or(Value::Null, |digest: Digest| Value::Fixed(digest.as_bytes().to_vec()))
        };
        let settled = row.answer.as_ref();
        let answer = settled.map(|settled| &settled.answer);
        let seen = |of: Option<&String>| number(of.and_then(|text| moment(text)));
        let micros = |ns: Option<i64>| number(ns.map(|ns| ns.div_euclid(1000)));
        let cells = [
            text(Some(safe::text(&path))),
            raw,
            number(row.size.and_then(|size| i64::try_from(size).ok())),
            hex(HashKind::Md5),
            hex(HashKind::Sha1),
            hex(HashKind::Sha256),
            bytes(HashKind::Md5),
            bytes(HashKind::Sha1),
            bytes(HashKind::Sha256),
            text(answer.map(|answer| answer.verdict.name())),
            text(Some(row.outcome.name())),
            text(row.reason.as_ref().or(answer.and_then(|answer| answer.reason.as_ref()))),
            text(answer.and_then(|answer| answer.threat_name.as_ref())),
            number(answer.and_then(|answer| answer.threat_level)),
            number(answer.and_then(|answer| answer.trust_factor)),
            number(answer.and_then(|answer| answer.scanner_match)),
            number(answer.and_then(|answer| answer.scanner_count)),
            text(answer.and_then(|answer| answer.first_seen.as_ref())),
            text(answer.and_then(|answer| answer.last_seen.as_ref())),
            seen(answer.and_then(|answer| answer.first_seen.as_ref())),
            seen(answer.and_then(|answer| answer.last_seen.as_ref())),
            number(settled.map(|settled| settled.answered_at.0)),
            text(settled.map(|settled| settled.source.name())),
            number(row.dates.inode.map(u64::cast_signed)),
            micros(row.dates.modified_ns),
            micros(row.dates.changed_ns),
            micros(row.dates.born_ns),
            Value::Number(self.sweep),
            Value::Number(self.sweep_started_at.0),
        ];
        debug_assert_eq!(cells.len(), self.columns.len());
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            column.push(cell);
        }
        self.n_rows += 1;
        if self.n_rows == GROUP { self.end_group() } else { Ok(()) }
    }

    /// Writes what waits and the footer, flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        if self.n_rows > 0 {
            self.end_group()?;
        }
        let rest = self.writer.into_inner().map_err(fault)?;
        self.out.write_all(&rest)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn end_group(&mut self) -> io::Result<()> {
        let mut group = self.writer.next_row_group().map_err(fault)?;
        for column in &mut self.columns {
            let mut writer = group.next_column().map_err(fault)?.expect("there is a writer for each column");
            column.write(writer.untyped()).map_err(fault)?;
            writer.close().map_err(fault)?;
        }
        group.close().map_err(fault)?;
        self.n_rows = 0;
        // The writer counts what passed through it, so what it wrote to may be emptied.
        let written = self.writer.inner_mut();
        self.out.write_all(written)?;
        written.clear();
        Ok(())
    }
}

impl Column {
    fn push(&mut self, value: Value) {
        self.is_there.push(i16::from(!matches!(value, Value::Null)));
        match value {
            Value::Null => {}
            Value::Text(bytes) => self.texts.push(bytes.into()),
            Value::Fixed(bytes) => self.fixed.push(ByteArray::from(bytes).into()),
            Value::Number(number) => self.numbers.push(number),
        }
    }

    /// A column that is required takes no notice of who is there.
    fn write(&mut self, writer: &mut ColumnWriter<'_>) -> Result<(), ParquetError> {
        let is_there = Some(self.is_there.as_slice());
        match writer {
            ColumnWriter::ByteArrayColumnWriter(writer) => writer.write_batch(&self.texts, is_there, None),
            ColumnWriter::FixedLenByteArrayColumnWriter(writer) => {
                writer.write_batch(&self.fixed, is_there, None)
            }
            ColumnWriter::Int64ColumnWriter(writer) => writer.write_batch(&self.numbers, is_there, None),
            ColumnWriter::BoolColumnWriter(_)
            | ColumnWriter::Int32ColumnWriter(_)
            | ColumnWriter::Int96ColumnWriter(_)
            | ColumnWriter::FloatColumnWriter(_)
            | ColumnWriter::DoubleColumnWriter(_) => unreachable!("the schema has no such column"),
        }?;
        self.texts.clear();
        self.fixed.clear();
        self.numbers.clear();
        self.is_there.clear();
        Ok(())
    }
}

fn text(value: Option<impl AsRef<str>>) -> Value {
    value.map_or(Value::Null, |text| Value::Text(text.as_ref().as_bytes().to_vec()))
}

fn number(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Number)
}

/// The service's spelling, UTC without a zone mark, in milliseconds; `None` where it is none, and the text stays.
fn moment(text: &str) -> Option<i64> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    let civil: DateTime = text.parse().ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

fn fault(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn the_services_moments_are_read_or_left_alone() {
        assert_eq!(moment("2026-11-22T15:04:05"), Some(1_795_359_845_000));
        assert_eq!(moment("2026-11-22T15:04:05.250Z"), Some(1_795_359_845_250));
        assert_eq!(moment("2026-11-22T16:04:05+01:00"), Some(1_795_359_845_000));
        assert_eq!(moment("1969-12-31T23:59:59"), Some(-1000));
        for none in ["", "never", "2026-13-01T00:00:00", "2026-11-22T25:04:05"] {
            assert_eq!(moment(none), None, "{none}");
        }
    }
}
