//! The columns of a Parquet file that have one value a row, row by row.
//!
//! What lies in lists and maps has no cell of its own and is left out; a member of a struct has one, named by its
//! path. Row groups are read in pieces, so memory is a page of every column, whatever the file's length.

use crate::TableError;
use crate::rows::{Gone, Rows};
use bytes::Bytes;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, Int96};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, FileReader, Length, RowGroupReader, SerializedFileReader};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Rows that are decoded at a time.
const PIECE: usize = 1024;

/// From where dates count their days.
const EPOCH: Date = date(1970, 1, 1);

pub(crate) struct Table {
    file: SerializedFileReader<Pages>,
    columns: Vec<Column>,
    /// The names of those that have no cell.
    nested: Vec<String>,
}

struct Column {
    at: usize,
    name: String,
    form: Form,
    described: ColumnDescPtr,
}

/// How the values of a column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Text,
    /// Bytes of which nothing is said: many tools write their texts so. The first values tell.
    Untold,
    Hex,
    /// A UUID is as long as an MD5, and none.
    Uuid,
    Unsigned,
    Date,
    /// Units in a second, and whether it is UTC.
    Time(i64, bool),
    /// Digits behind the point.
    Decimal(u32),
}

impl Table {
    pub(crate) fn open(file: File) -> Result<Table, TableError> {
        let n_bytes = file.metadata()?.len();
        let file = SerializedFileReader::new(Pages { file: Arc::new(file), n_bytes })?;
        let schema = file.metadata().file_metadata().schema_descr_ptr();
        let mut columns = Vec::new();
        let mut nested = Vec::new();
        for (at, described) in schema.columns().iter().enumerate() {
            let name = described.path().parts().join(".");
            if described.max_rep_level() > 0 {
                nested.push(name);
                continue;
            }
            columns.push(Column { at, name, form: Form::of(described), described: Arc::clone(described) });
        }
        if columns.is_empty() && nested.is_empty() {
            return Err(TableError::Form("it has no columns".to_owned()));
        }
        Ok(Table { file, columns, nested })
    }

    pub(crate) fn nested(&self) -> &[String] {
        &self.nested
    }

    pub(crate) fn read(mut self, rows: &mut Rows) -> Result<(), TableError> {
        for column in &self.columns {
            rows.cell(column.name.as_bytes());
        }
        if let Err(Gone) = rows.end_row() {
            return Ok(());
        }
        for at in 0..self.file.num_row_groups() {
            let group = self.file.get_row_group(at)?;
            if let Err(Gone) = read_group(&*group, at, &mut self.columns, rows)? {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn read_group(
    group: &dyn RowGroupReader,
    at: usize,
    columns: &mut [Column],
    rows: &mut Rows,
) -> Result<Result<(), Gone>, TableError> {
    let mut readers =
        columns.iter().map(|column| group.get_column_reader(column.at)).collect::<ParquetResult<Vec<_>>>()?;
    let n_rows = usize::try_from(group.metadata().num_rows())
        .map_err(|_| TableError::Form(format!("row group {at} has less than no rows")))?;
    let mut n_read = 0;
    while n_read < n_rows {
        let n_wanted = PIECE.min(n_rows - n_read);
        let mut pieces = Vec::with_capacity(columns.len());
        for (column, reader) in columns.iter_mut().zip(&mut readers) {
            let piece = Piece::read(reader, n_wanted, column.described.max_def_level())?;
            if piece.n_rows != n_wanted {
                return Err(TableError::Form(format!(
                    "column {:?} ends after {} of {n_rows} rows of row group {at}",
                    column.name,
                    n_read + piece.n_rows
                )));
            }
            column.form = column.form.told(&piece.values);
            pieces.push(piece);
        }
        for row in 0..n_wanted {
            for (column, piece) in columns.iter().zip(&mut pieces) {
                piece.write(row, column.form, rows);
            }
            if let Err(Gone) = rows.end_row() {
                return Ok(Err(Gone));
            }
        }
        n_read += n_wanted;
    }
    Ok(Ok(()))
}

/// Some rows of a column.
struct Piece {
    n_rows: usize,
    /// The level of a value that is there; one that is not has a lower one.
    max_level: i16,
    /// Empty where every value is there.
    levels: Vec<i16>,
    values: Values,
    /// The next value.
    at: usize,
}

enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
}

impl Piece {
    fn read(reader: &mut ColumnReader, n: usize, max_level: i16) -> ParquetResult<Piece> {
        let mut levels = Vec::new();
        let to = &mut levels;
        let (n_rows, values) = match reader {
            ColumnReader::BoolColumnReader(reader) => read(reader, n, to).map(|(n, v)| (n, Values::Bool(v))),
            ColumnReader::Int32ColumnReader(reader) => {
                read(reader, n, to).map(|(n, v)| (n, Values::Int32(v)))
            }
            ColumnReader::Int64ColumnReader(reader) => {
                read(reader, n, to).map(|(n, v)| (n, Values::Int64(v)))
            }
            ColumnReader::Int96ColumnReader(reader) => {
                read(reader, n, to).map(|(n, v)| (n, Values::Int64(v.iter().map(Int96::to_nanos).collect())))
            }
            ColumnReader::FloatColumnReader(reader) => {
                read(reader, n, to).map(|(n, v)| (n, Values::Float(v)))
            }
            ColumnReader::DoubleColumnReader(reader) => {
                read(reader, n, to).map(|(n, v)| (n, Values::Double(v)))
            }
            ColumnReader::ByteArrayColumnReader(reader) => {
                read(reader, n, to).map(|(n, v)| (n, Values::Bytes(v)))
            }
            ColumnReader::FixedLenByteArrayColumnReader(reader) => read(reader, n, to)
                .map(|(n, v)| (n, Values::Bytes(v.into_iter().map(ByteArray::from).collect()))),
        }?;
        Ok(Piece { n_rows, max_level, levels, values, at: 0 })
    }

    fn write(&mut self, row: usize, form: Form, rows: &mut Rows) {
        if self.levels.get(row).is_some_and(|level| *level < self.max_level) {
            return rows.cell(b"");
        }
        let at = self.at;
        self.at += 1;
        match &self.values {
            Values::Bool(values) => rows.shown(values[at]),
            Values::Int32(values) => form.write_int(values[at].into(), true, rows),
            Values::Int64(values) => form.write_int(values[at], false, rows),
            Values::Float(values) => rows.shown(values[at]),
            Values::Double(values) => rows.shown(values[at]),
            Values::Bytes(values) => form.write_bytes(values[at].data(), rows),
        }
    }
}

fn read<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    n: usize,
    levels: &mut Vec<i16>,
) -> ParquetResult<(usize, Vec<T::T>)> {
    let mut values = Vec::with_capacity(n);
    let (n_rows, _, _) = reader.read_records(n, Some(levels), None, &mut values)?;
    Ok((n_rows, values))
}

impl Form {
    fn of(described: &ColumnDescriptor) -> Form {
        use parquet::basic::Type;
        let converted = described.converted_type();
        let logical = described.logical_type_ref();
        let scale = u32::try_from(described.type_scale()).unwrap_or(0);
        match described.physical_type() {
            Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY if converted == ConvertedType::DECIMAL => {
                Form::Decimal(scale)
            }
            Type::BYTE_ARRAY => match converted {
                ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON => Form::Text,
                _ => Form::Untold,
            },
            Type::FIXED_LEN_BYTE_ARRAY => match logical {
                Some(LogicalType::Uuid) => Form::Uuid,
                // Digits of a hash are such a text, too: of 32, 40 or 64 bytes.
                _ if matches!(described.type_length(), 16 | 20) => Form::Hex,
                _ => Form::Untold,
            },
            Type::INT96 => Form::Time(1_000_000_000, true),
            Type::INT32 | Type::INT64 => match (logical, converted) {
                (Some(LogicalType::Timestamp(time)), _) => {
                    let units = match time.unit {
                        TimeUnit::MILLIS => 1_000,
                        TimeUnit::MICROS => 1_000_000,
                        TimeUnit::NANOS => 1_000_000_000,
                    };
                    Form::Time(units, time.is_adjusted_to_u_t_c)
                }
                (_, ConvertedType::TIMESTAMP_MILLIS) => Form::Time(1_000, true),
                (_, ConvertedType::TIMESTAMP_MICROS) => Form::Time(1_000_000, true),
                (_, ConvertedType::DATE) => Form::Date,
                (_, ConvertedType::DECIMAL) => Form::Decimal(scale),
                (
                    _,
                    ConvertedType::UINT_8
                    | ConvertedType::UINT_16
                    | ConvertedType::UINT_32
                    | ConvertedType::UINT_64,
                ) => Form::Unsigned,
                _ => Form::Plain,
            },
            Type::BOOLEAN | Type::FLOAT | Type::DOUBLE => Form::Plain,
        }
    }

    /// What bytes without a word about them are, once there are some.
    fn told(self, values: &Values) -> Form {
        match (self, values) {
            (Form::Untold, Values::Bytes(values)) if !values.is_empty() => {
                if values.iter().all(|value| is_text(value.data())) { Form::Text } else { Form::Hex }
            }
            _ => self,
        }
    }

    fn write_int(self, value: i64, is_short: bool, rows: &mut Rows) {
        match self {
            Form::Unsigned if is_short => rows.shown(value & i64::from(u32::MAX)),
            Form::Unsigned => rows.shown(value.cast_unsigned()),
            Form::Decimal(scale) => rows.shown(Decimal { value: value.into(), scale }),
            Form::Date => match Span::new().try_days(value).and_then(|days| EPOCH.checked_add(days)) {
                Ok(date) => rows.shown(date),
                Err(_) => rows.shown(value),
            },
            Form::Time(units, is_utc) => {
                let (seconds, rest) = (value.div_euclid(units), value.rem_euclid(units));
                let nanoseconds = i32::try_from(rest * (1_000_000_000 / units)).expect("less than a second");
                match Timestamp::new(seconds, nanoseconds) {
                    Ok(time) if is_utc => rows.shown(time),
                    Ok(time) => rows.shown(TimeZone::UTC.to_datetime(time)),
                    // Beyond the calendar there is only the number.
                    Err(_) => rows.shown(value),
                }
            }
            Form::Plain | Form::Text | Form::Untold | Form::Hex | Form::Uuid => rows.shown(value),
        }
    }

    fn write_bytes(self, bytes: &[u8], rows: &mut Rows) {
        match self {
            Form::Text if std::str::from_utf8(bytes).is_ok() => rows.cell(bytes),
            Form::Uuid if bytes.len() == 16 => {
                let digits = bytes.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
                let all = format!("{digits:032x}");
                let [one, two, three, four, five] =
                    [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &all[part]);
                rows.shown(format_args!("{one}-{two}-{three}-{four}-{five}"));
            }
            Form::Decimal(scale) if (1..=16).contains(&bytes.len()) => {
                // Two's complement, the high bytes first.
                let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
                let value = bytes.iter().fold(sign, |value: i128, byte| value << 8 | i128::from(*byte));
                rows.shown(Decimal { value, scale });
            }
            _ => rows.hex(bytes),
        }
    }
}

/// Text that a person wrote, which bytes of a hash are not for long.
fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        text.chars().all(|character| !character.is_control() || matches!(character, '\t' | '\n' | '\r'))
    })
}

struct Decimal {
    value: i128,
    scale: u32,
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Decimal { value, scale } = *self;
        let sign = if value < 0 { "-" } else { "" };
        match 10_u128.checked_pow(scale) {
            None => write!(f, "{value}e-{scale}"),
            Some(1) => write!(f, "{value}"),
            Some(unit) => {
                let (whole, rest) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
                write!(f, "{sign}{whole}.{rest:0width$}", width = scale as usize)
            }
        }
    }
}

/// The file, read at places and without a position of its own, which a second reader of it may have moved.
struct Pages {
    file: Arc<File>,
    n_bytes: u64,
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.n_bytes
    }
}

impl ChunkReader for Pages {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> ParquetResult<BufReader<From>> {
        Ok(BufReader::new(From { file: Arc::clone(&self.file), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let is_inside = start.checked_add(length as u64).is_some_and(|end| end <= self.n_bytes);
        if !is_inside {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} are behind the end of the file"
            )));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

struct From {
    file: Arc<File>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(space, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
