//! Converts JSON lines into a Parquet or an ORC file, so that other readers can be tried on it.
//!
//! `convert COLUMNS INPUT OUTPUT [KEY=VALUE]...`: COLUMNS has a name, a tab and a Hive type a line;
//! INPUT a record a line. What cannot be converted is printed: the line's number, a tab, the code,
//! a tab and the message. Keys are those of `configure` below.

#![expect(clippy::disallowed_methods, reason = "an example reads and writes files itself")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::Write;

use millstream_columnar::{
    FileFormat, JsonReader, OrcCompression, OrcOptions, OrcVersion, ParquetCompression,
    ParquetOptions, ParquetTimestamp, ParquetVersion, Schema, Writer,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [columns, input, output, settings @ ..] = &arguments[..] else {
        return Err("convert COLUMNS INPUT OUTPUT [KEY=VALUE]...".into());
    };
    let columns = fs::read_to_string(columns)?;
    let columns: Vec<(String, String)> = columns
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    let schema = Schema::parse(&columns)?;
    let (reader, format) = configure(settings)?;
    let mut writer = Writer::new(&schema, &reader, &format)?;
    let mut file = fs::File::create(output)?;
    let input = fs::read(input)?;
    let input = input.strip_suffix(b"\n").unwrap_or(&input);
    for (number, record) in input.split(|byte| *byte == b'\n').enumerate() {
        if let Err(error) = writer.push(record) {
            println!("{number}\t{}\t{}", error.code, error.message);
        }
        for piece in writer.take() {
            file.write_all(&piece)?;
        }
    }
    for piece in writer.finish() {
        file.write_all(&piece)?;
    }
    Ok(())
}

/// Reads `KEY=VALUE` settings, over the defaults.
fn configure(settings: &[String]) -> Result<(JsonReader, FileFormat), Box<dyn Error>> {
    let mut parquet = ParquetOptions::default();
    let mut orc = OrcOptions::default();
    let (mut is_orc, mut is_hive) = (false, false);
    let (mut case_insensitive, mut dots_to_underscores) = (true, false);
    let (mut mappings, mut timestamp_formats) = (BTreeMap::new(), Vec::new());
    for setting in settings {
        let (key, value) = setting.split_once('=').ok_or("a setting is KEY=VALUE")?;
        match (key, value) {
            ("format", "parquet") => is_orc = false,
            ("format", "orc") => is_orc = true,
            ("compression", "none") => {
                parquet.compression = ParquetCompression::Uncompressed;
                orc.compression = OrcCompression::None;
            }
            ("compression", "snappy") => {
                parquet.compression = ParquetCompression::Snappy;
                orc.compression = OrcCompression::Snappy;
            }
            ("compression", "deflate") => {
                parquet.compression = ParquetCompression::Gzip;
                orc.compression = OrcCompression::Zlib;
            }
            ("version", "old") => {
                parquet.version = ParquetVersion::V1;
                orc.version = OrcVersion::V0_11;
            }
            ("version", "new") => {
                parquet.version = ParquetVersion::V2;
                orc.version = OrcVersion::V0_12;
            }
            ("dictionary", value) => {
                parquet.dictionary = value.parse::<f64>()? > 0.0;
                orc.dictionary_key_threshold = value.parse()?;
            }
            ("page_bytes", value) => parquet.page_bytes = value.parse()?,
            ("block_bytes", value) => {
                parquet.block_bytes = value.parse()?;
                orc.stripe_bytes = value.parse()?;
            }
            ("timestamp", "micros") => parquet.timestamp = ParquetTimestamp::Micros,
            ("stride", value) => orc.row_index_stride = value.parse()?,
            ("bloom", value) => orc.bloom_filter_columns.push(value.to_owned()),
            ("padding", value) => orc.padding = value.parse()?,
            ("reader", "openx") => is_hive = false,
            ("reader", "hive") => is_hive = true,
            ("case_insensitive", value) => case_insensitive = value.parse()?,
            ("dots", value) => dots_to_underscores = value.parse()?,
            ("timestamp_format", value) => timestamp_formats.push(value.to_owned()),
            ("map", value) => {
                let (column, key) = value.split_once(':').ok_or("map=COLUMN:KEY")?;
                mappings.insert(column.to_owned(), key.to_owned());
            }
            _ => return Err(format!("{setting} is no setting").into()),
        }
    }
    let reader = if is_hive {
        JsonReader::Hive { timestamp_formats }
    } else {
        JsonReader::OpenX { case_insensitive, dots_to_underscores, mappings }
    };
    Ok((reader, if is_orc { FileFormat::Orc(orc) } else { FileFormat::Parquet(parquet) }))
}
