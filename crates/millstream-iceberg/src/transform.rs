//! Partition transforms: from a column's value to a partition's.

use millstream_columnar::table::{Cell, Type, decimal_bytes};

use crate::error::TableError;
use crate::{moment, murmur};

/// How a partition's value comes from a column's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transform {
    Identity,
    Bucket(u32),
    Truncate(u32),
    Year,
    Month,
    Day,
    Hour,
    /// Null, whatever the value.
    Void,
}

impl Transform {
    /// Reads a transform as a partition spec has it.
    pub(crate) fn parse(text: &str) -> Result<Self, TableError> {
        let sized = |name: &str| {
            let inner = text.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            inner.trim().parse::<u32>().ok().filter(|size| (1..=i32::MAX as u32).contains(size))
        };
        let found = match text {
            "identity" => Some(Self::Identity),
            "year" => Some(Self::Year),
            "month" => Some(Self::Month),
            "day" => Some(Self::Day),
            "hour" => Some(Self::Hour),
            "void" => Some(Self::Void),
            _ => {
                sized("bucket").map(Self::Bucket).or_else(|| sized("truncate").map(Self::Truncate))
            }
        };
        found.ok_or_else(|| TableError::unsupported(format!("the partition transform {text:?}")))
    }

    /// What partitions of a column of this type hold.
    pub(crate) fn result(self, source: &Type) -> Result<Type, TableError> {
        let unfit = || TableError::malformed(format!("{self:?} of a column of type {source:?}"));
        let is_moment = matches!(source, Type::Timestamp { .. });
        let is_day = is_moment || *source == Type::Date;
        let is_plain = !matches!(source, Type::List(..) | Type::Map(..) | Type::Struct(_));
        let is_hashed = is_plain && !matches!(source, Type::Boolean | Type::Float | Type::Double);
        let is_cut = matches!(
            source,
            Type::Int | Type::Long | Type::Decimal { .. } | Type::String | Type::Binary
        );
        match self {
            Self::Identity | Self::Void if is_plain => Ok(source.clone()),
            Self::Bucket(_) if is_hashed => Ok(Type::Int),
            Self::Truncate(_) if is_cut => Ok(source.clone()),
            Self::Year | Self::Month if is_day => Ok(Type::Int),
            Self::Day if is_day => Ok(Type::Date),
            Self::Hour if is_moment => Ok(Type::Int),
            _ => Err(unfit()),
        }
    }

    /// The partition's value.
    pub(crate) fn apply(self, cell: &Cell, source: &Type) -> Cell {
        if *cell == Cell::Null {
            return Cell::Null;
        }
        match self {
            Self::Identity => cell.clone(),
            Self::Void => Cell::Null,
            Self::Bucket(count) => Cell::Int(bucket(cell, count)),
            Self::Truncate(width) => truncated(cell, source, width),
            Self::Year => since(cell, source, |(year, _, _)| year - 1970),
            Self::Month => since(cell, source, |(year, month, _)| (year - 1970) * 12 + month - 1),
            Self::Day => int(days(cell, source)),
            Self::Hour => match cell {
                Cell::Long(micros) => int(micros.div_euclid(3_600_000_000)),
                _ => Cell::Null,
            },
        }
    }

    /// A partition's value as directories spell it.
    pub(crate) fn spelled(self, cell: &Cell, result: &Type) -> String {
        match (self, cell) {
            (_, Cell::Null) => "null".to_owned(),
            (Self::Year, Cell::Int(years)) => format!("{:04}", 1970 + i64::from(*years)),
            (Self::Month, Cell::Int(months)) => {
                let months = i64::from(*months);
                format!("{:04}-{:02}", 1970 + months.div_euclid(12), months.rem_euclid(12) + 1)
            }
            (Self::Hour, Cell::Int(hours)) => {
                let hours = i64::from(*hours);
                format!("{}-{:02}", day_text(hours.div_euclid(24)), hours.rem_euclid(24))
            }
            (_, cell) => spelled(cell, result),
        }
    }
}

fn since(cell: &Cell, source: &Type, unit: impl Fn((i64, i64, i64)) -> i64) -> Cell {
    int(unit(moment::date_of(days(cell, source))))
}

fn int(value: i64) -> Cell {
    // Years, days and hours of a moment in 64 bits of microseconds; hours alone reach further.
    i32::try_from(value).map_or(Cell::Null, Cell::Int)
}

fn days(cell: &Cell, source: &Type) -> i64 {
    match (cell, source) {
        (Cell::Int(days), Type::Date) => i64::from(*days),
        (Cell::Long(micros), _) => micros.div_euclid(moment::DAY_MICROS),
        _ => 0,
    }
}

fn bucket(cell: &Cell, count: u32) -> i32 {
    let hash = match cell {
        Cell::Int(value) => murmur::hash(&i64::from(*value).to_le_bytes()),
        Cell::Long(value) => murmur::hash(&value.to_le_bytes()),
        Cell::Decimal(value) => murmur::hash(&decimal_bytes(*value)),
        Cell::Bytes(bytes) => murmur::hash(bytes),
        _ => 0,
    };
    let bucket = (hash & 0x7FFF_FFFF) % count;
    i32::try_from(bucket).expect("it is below the count, which is one too")
}

fn truncated(cell: &Cell, source: &Type, width: u32) -> Cell {
    match cell {
        Cell::Int(value) => {
            let (value, width) = (i64::from(*value), i64::from(width));
            // Below the smallest integer it wraps around, as the reference does.
            #[allow(clippy::cast_possible_truncation)]
            Cell::Int((value - value.rem_euclid(width)) as i32)
        }
        Cell::Long(value) => Cell::Long(value.wrapping_sub(value.rem_euclid(i64::from(width)))),
        Cell::Decimal(value) => Cell::Decimal(value - value.rem_euclid(i128::from(width))),
        Cell::Bytes(bytes) if *source == Type::String => {
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            let end = text.char_indices().nth(width as usize).map_or(bytes.len(), |(at, _)| at);
            Cell::Bytes(bytes[..end].to_vec())
        }
        Cell::Bytes(bytes) => Cell::Bytes(bytes[..bytes.len().min(width as usize)].to_vec()),
        other => other.clone(),
    }
}

fn day_text(days: i64) -> String {
    let (year, month, day) = moment::date_of(days);
    format!("{year:04}-{month:02}-{day:02}")
}

fn spelled(cell: &Cell, kind: &Type) -> String {
    match (cell, kind) {
        (Cell::Int(days), Type::Date) => day_text(i64::from(*days)),
        (Cell::Int(value), _) => value.to_string(),
        (Cell::Long(micros), Type::Timestamp { .. }) => {
            let of_day = micros.rem_euclid(moment::DAY_MICROS);
            let day = day_text(micros.div_euclid(moment::DAY_MICROS));
            format!("{day}T{}", time_text(of_day))
        }
        (Cell::Long(micros), Type::Time) => time_text(*micros),
        (Cell::Long(value), _) => value.to_string(),
        (Cell::Boolean(value), _) => value.to_string(),
        (Cell::Float(value), _) => value.to_string(),
        (Cell::Double(value), _) => value.to_string(),
        (Cell::Decimal(value), Type::Decimal { scale, .. }) => decimal_text(*value, *scale),
        (Cell::Bytes(bytes), Type::String) => String::from_utf8_lossy(bytes).into_owned(),
        (Cell::Bytes(bytes), _) => base64_simd::STANDARD.encode_to_string(bytes),
        (cell, _) => format!("{cell:?}"),
    }
}

fn time_text(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{:06}", micros % 1_000_000)
}

fn decimal_text(value: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    format!("{sign}{whole}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_the_specifications() {
        let stamp = Type::Timestamp { utc: false };
        let at = Cell::Long(1_510_871_468_000_000);
        let text = |text: &str| Cell::Bytes(text.as_bytes().to_vec());
        let decimal = Type::Decimal { precision: 9, scale: 2 };
        let rows: Vec<(&str, Type, Cell, Cell, &str)> = vec![
            ("identity", Type::String, text("a"), text("a"), "a"),
            ("void", Type::Int, Cell::Int(1), Cell::Null, "null"),
            ("bucket[16]", Type::Int, Cell::Int(34), Cell::Int(3), "3"),
            ("bucket[16]", Type::Date, Cell::Int(17_486), Cell::Int(10), "10"),
            ("bucket[16]", Type::String, text("iceberg"), Cell::Int(9), "9"),
            ("bucket[16]", decimal.clone(), Cell::Decimal(1_420), Cell::Int(3), "3"),
            ("truncate[10]", Type::Int, Cell::Int(-1), Cell::Int(-10), "-10"),
            ("truncate[10]", Type::Long, Cell::Long(19), Cell::Long(10), "10"),
            ("truncate[50]", decimal, Cell::Decimal(1_065), Cell::Decimal(1_050), "10.50"),
            ("truncate[3]", Type::String, text("äéîx"), text("äéî"), "äéî"),
            ("truncate[3]", Type::Binary, Cell::Bytes(vec![1; 5]), Cell::Bytes(vec![1; 3]), "AQEB"),
            ("year", stamp.clone(), at.clone(), Cell::Int(47), "2017"),
            ("month", stamp.clone(), at.clone(), Cell::Int(574), "2017-11"),
            ("day", stamp.clone(), at.clone(), Cell::Int(17_486), "2017-11-16"),
            ("hour", stamp.clone(), at.clone(), Cell::Int(419_686), "2017-11-16-22"),
            ("day", stamp.clone(), Cell::Long(-1), Cell::Int(-1), "1969-12-31"),
            ("month", Type::Date, Cell::Int(-1), Cell::Int(-1), "1969-12"),
            (
                "identity",
                stamp,
                at,
                Cell::Long(1_510_871_468_000_000),
                "2017-11-16T22:31:08.000000",
            ),
        ];
        for (name, source, value, expected, spelled) in rows {
            let transform = Transform::parse(name).unwrap();
            let found = transform.apply(&value, &source);
            assert_eq!(found, expected, "{name} of {value:?}");
            let result = transform.result(&source).unwrap();
            assert_eq!(transform.spelled(&found, &result), spelled);
            assert_eq!(transform.apply(&Cell::Null, &source), Cell::Null);
        }
        for unknown in ["bucket[0]", "bucket", "zorder", "truncate[-1]", ""] {
            assert!(Transform::parse(unknown).is_err(), "{unknown}");
        }
        assert!(Transform::Hour.result(&Type::Date).is_err());
        assert!(Transform::Bucket(2).result(&Type::Double).is_err());
    }
}
