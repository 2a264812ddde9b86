//! Lines of files and of standard input, read ahead by one task.
//!
//! Owns where a line ends and how many wait: a bounded channel, so a slow service slows reading.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;

use crate::exit::{Failure, Outcome};

/// Lines that wait to be put.
const LINES_AHEAD: usize = 2_000;
/// The largest record that any stream takes (documented: large records), so the longest line.
const LINE_BYTES_MAX: usize = 10 * 1024 * 1024;
const READ_BYTES: usize = 256 * 1024;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its file.
    pub(crate) source: Arc<str>,
    /// Its number in its file, from 1.
    pub(crate) number: u64,
    /// Its bytes, without the line break.
    pub(crate) text: Bytes,
    /// How many bytes of all input end with it.
    pub(crate) end: u64,
}

impl Line {
    /// Says of a failure where in the input it is.
    pub(crate) fn wrong(&self, reason: impl std::fmt::Display) -> Failure {
        Failure::failed(format!("{}, line {}: {reason}", self.source, self.number))
    }
}

/// A line, or why there is none.
pub(crate) type Read = Outcome<Line>;

/// Input being read.
pub(crate) struct Input {
    /// Lines as they come; empty ones are left out.
    pub(crate) lines: mpsc::Receiver<Read>,
    /// The size of all input, where it is known.
    pub(crate) bytes: Option<u64>,
}

/// Starts reading `files` one after the other; standard input where there are none, or for `-`.
pub(crate) fn open(files: &[PathBuf]) -> Outcome<Input> {
    let mut bytes = if files.is_empty() { size_of_stdin() } else { Some(0) };
    for file in files {
        let size = if is_stdin(file) { size_of_stdin() } else { Some(size_of(file)?) };
        bytes = bytes.zip(size).map(|(sum, size)| sum + size);
    }
    let files = if files.is_empty() { vec![PathBuf::from("-")] } else { files.to_vec() };
    if files.iter().any(|file| is_stdin(file)) && std::io::stdin().is_terminal() {
        eprintln!("reading what you type, a record a line; Ctrl-D ends it");
    }
    let bytes = bytes.filter(|bytes| *bytes > 0);
    let (sender, lines) = mpsc::channel(LINES_AHEAD);
    tokio::spawn(read_all(files, sender));
    Ok(Input { lines, bytes })
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn size_of(file: &Path) -> Outcome<u64> {
    let found = std::fs::metadata(file);
    found.map(|found| found.len()).map_err(|error| unreadable(file, &error))
}

/// What is left to read of standard input, where that is a file.
fn size_of_stdin() -> Option<u64> {
    let stdin = std::io::stdin();
    let size = rustix::fs::fstat(&stdin).ok()?.st_size;
    let at = rustix::fs::tell(&stdin).ok()?;
    u64::try_from(size).ok()?.checked_sub(at)
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot read {}: {error}", file.display()))
}

async fn read_all(files: Vec<PathBuf>, sender: mpsc::Sender<Read>) {
    let mut end = 0;
    for file in files {
        let outcome = if is_stdin(&file) {
            let mut reader = BufReader::with_capacity(READ_BYTES, tokio::io::stdin());
            read_lines(&mut reader, "standard input", &mut end, &sender).await
        } else {
            match tokio::fs::File::open(&file).await {
                Ok(opened) => {
                    let mut reader = BufReader::with_capacity(READ_BYTES, opened);
                    let source = file.display().to_string();
                    read_lines(&mut reader, &source, &mut end, &sender).await
                }
                Err(error) => Err(error),
            }
        };
        if let Err(error) = outcome {
            // Whoever reads may be gone; then nobody wants to know.
            let _ = sender.send(Err(unreadable(&file, &error))).await;
            return;
        }
    }
}

/// Reads until the end, or until nobody wants more.
async fn read_lines(
    reader: &mut (impl AsyncBufRead + Unpin),
    source: &str,
    end: &mut u64,
    sender: &mpsc::Sender<Read>,
) -> std::io::Result<()> {
    let source = Arc::from(source);
    let mut number = 0;
    loop {
        let mut text = Vec::new();
        let count = read_line(reader, &mut text).await?;
        if count == 0 {
            return Ok(());
        }
        *end += count;
        number += 1;
        let text = text.strip_suffix(b"\n").unwrap_or(&text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.is_empty() {
            continue;
        }
        let text = Bytes::copy_from_slice(text);
        let line = Line { source: Arc::clone(&source), number, text, end: *end };
        if sender.send(Ok(line)).await.is_err() {
            return Ok(());
        }
    }
}

/// As `read_until`, but an endless line is an error instead of endless memory.
async fn read_line(
    reader: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
) -> std::io::Result<u64> {
    loop {
        let available = reader.fill_buf().await?;
        let end = available.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let count = end.unwrap_or(available.len());
        line.extend_from_slice(&available[..count]);
        reader.consume(count);
        if end.is_some() || count == 0 {
            return Ok(line.len() as u64);
        }
        if line.len() > LINE_BYTES_MAX {
            let message = format!("a line is longer than {LINE_BYTES_MAX} bytes, and no record is");
            return Err(std::io::Error::other(message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines_of(mut input: &[u8]) -> Result<Vec<(u64, String, u64)>, std::io::Error> {
        let (sender, mut receiver) = mpsc::channel(100);
        let mut end = 0;
        read_lines(&mut input, "here", &mut end, &sender).await?;
        drop(sender);
        let mut lines = Vec::new();
        while let Some(line) = receiver.recv().await {
            let line = line.unwrap();
            lines.push((line.number, String::from_utf8(line.text.to_vec()).unwrap(), line.end));
        }
        Ok(lines)
    }

    #[tokio::test]
    async fn lines_end_with_either_break_and_empty_ones_are_left_out() {
        let lines = lines_of(b"a\n\nb\r\n\r\nlast").await.unwrap();
        let expected = [(1, "a", 2), (3, "b", 6), (5, "last", 12)];
        let seen: Vec<(u64, &str, u64)> = lines.iter().map(|l| (l.0, l.1.as_str(), l.2)).collect();
        assert_eq!(seen, expected);
    }

    #[tokio::test]
    async fn an_endless_line_is_an_error() {
        let endless = vec![b'x'; LINE_BYTES_MAX + 2];
        assert!(lines_of(&endless).await.is_err());
    }
}
