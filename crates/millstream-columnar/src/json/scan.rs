//! Tokens of JSON, by the grammar of RFC 8259 and nothing beyond it.
//!
//! The text is known to be UTF-8 before it comes here, so strings are cut out of it unexamined.
//! Nothing is copied: strings and numbers come back as places in the text.

use super::Fault;

/// Values nested deeper than this are refused, as Jackson refuses them, to bound recursion.
const DEPTH_MAX: usize = 500;

/// A place in a record's text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
}

/// A string's inside, still escaped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted<'a> {
    pub(super) raw: &'a [u8],
    pub(super) escaped: bool,
}

/// A number, read as far as 19 digits go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number<'a> {
    pub(super) text: &'a [u8],
    pub(super) negative: bool,
    /// The digits, without the point.
    pub(super) mantissa: u64,
    /// The value is the mantissa times ten to this.
    pub(super) exponent: i32,
    /// Whether all digits fit.
    pub(super) exact: bool,
    /// Whether there is neither point nor exponent.
    pub(super) integer: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The byte that comes next; 0 at the end, which no token starts with.
    #[inline]
    pub(super) fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    #[inline]
    pub(super) fn blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        if self.peek() != byte || self.is_at_end() {
            return Err(self.fault(what));
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    pub(super) fn literal(&mut self, word: &'static str) -> Result<(), Fault> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault("was expecting 'true', 'false' or 'null'"));
        }
        self.at += word.len();
        // `nulls` is one wrong word, not a right one and something behind it.
        if self.peek().is_ascii_alphanumeric() {
            return Err(self.fault("was expecting 'true', 'false' or 'null'"));
        }
        Ok(())
    }

    /// A string; the opening quote comes next.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Quoted<'a>, Fault> {
        self.expect(b'"', "was expecting a string")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain(&self.text[self.at..]);
            match self.peek() {
                b'"' => {
                    let raw = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(Quoted { raw, escaped });
                }
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ if self.is_at_end() => return Err(self.fault("was expecting closing quote")),
                _ => return Err(self.fault("has to be escaped to be in a string value")),
            }
        }
    }

    /// Steps over an escape, checked.
    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_ascii_hexdigit() {
                        return Err(self.fault("was expecting a hex-digit of an escape"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.fault("is not a known escape")),
        }
        Ok(())
    }

    /// A number; a digit or a minus sign comes next.
    #[inline]
    pub(super) fn number(&mut self) -> Result<Number<'a>, Fault> {
        let start = self.at;
        let negative = self.peek() == b'-';
        self.at += usize::from(negative);
        let mut number =
            Number { text: &[], negative, mantissa: 0, exponent: 0, exact: true, integer: true };
        if self.peek() == b'0' {
            self.at += 1;
            if self.peek().is_ascii_digit() {
                return Err(self.fault("leading zeroes are not allowed in a number"));
            }
        } else if self.digits(&mut number) == 0 {
            return Err(self.fault("was expecting a value"));
        }
        if self.peek() == b'.' {
            self.at += 1;
            number.integer = false;
            let before = number.exponent;
            let digits = self.digits(&mut number);
            if digits == 0 {
                return Err(self.fault("was expecting a digit behind the decimal point"));
            }
            // Digits that were counted into the mantissa lie behind the point.
            let dropped = number.exponent - before;
            number.exponent = before - (i32::try_from(digits).unwrap_or(i32::MAX) - dropped);
        }
        if matches!(self.peek(), b'e' | b'E') {
            number.integer = false;
            number.exponent = number.exponent.saturating_add(self.exponent()?);
        }
        number.text = &self.text[start..self.at];
        Ok(number)
    }

    /// Digits into the mantissa; those that do not fit raise the exponent. Says how many.
    #[inline]
    fn digits(&mut self, number: &mut Number<'a>) -> usize {
        /// More than this times ten and a digit need not fit in 64 bits.
        const ROOM: u64 = u64::MAX / 10 - 1;
        let start = self.at;
        loop {
            let digit = self.peek().wrapping_sub(b'0');
            if digit > 9 {
                return self.at - start;
            }
            if number.exact && number.mantissa <= ROOM {
                number.mantissa = number.mantissa * 10 + u64::from(digit);
            } else {
                number.exact = false;
                number.exponent = number.exponent.saturating_add(1);
            }
            self.at += 1;
        }
    }

    fn exponent(&mut self) -> Result<i32, Fault> {
        self.at += 1;
        let negative = self.peek() == b'-';
        self.at += usize::from(matches!(self.peek(), b'-' | b'+'));
        if !self.peek().is_ascii_digit() {
            return Err(self.fault("was expecting a digit of an exponent"));
        }
        let mut exponent = 0_i32;
        while self.peek().is_ascii_digit() {
            let digit = i32::from(self.peek() - b'0');
            // Beyond any double and any decimal: what is more does not matter.
            exponent = (exponent.saturating_mul(10).saturating_add(digit)).min(1_000_000_000);
            self.at += 1;
        }
        Ok(if negative { -exponent } else { exponent })
    }

    /// Steps over a value of any kind, checked to its end.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        self.skip_nested(0)
    }

    fn skip_nested(&mut self, depth: usize) -> Result<(), Fault> {
        if depth > DEPTH_MAX {
            return Err(self.fault("is nested too deep"));
        }
        match self.peek() {
            b'"' => self.string().map(drop),
            b'{' => {
                self.at += 1;
                self.each(b'}', |scanner| {
                    scanner.string()?;
                    scanner.colon()?;
                    scanner.skip_nested(depth + 1)
                })
            }
            b'[' => {
                self.at += 1;
                self.each(b']', |scanner| scanner.skip_nested(depth + 1))
            }
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => self.number().map(drop),
        }
    }

    /// Calls `item` at each item of an object or array, whose opening bracket is behind.
    #[inline]
    pub(super) fn each(
        &mut self,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.blanks();
        if self.peek() == close {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            if !self.more(close)? {
                return Ok(());
            }
        }
    }

    /// Steps over the comma before a next item, or over the closing bracket.
    #[inline]
    pub(super) fn more(&mut self, close: u8) -> Result<bool, Fault> {
        self.blanks();
        let next = self.peek();
        if next == b',' {
            self.at += 1;
            self.blanks();
            return Ok(true);
        }
        if next != close {
            return Err(self.fault("was expecting comma to separate entries"));
        }
        self.at += 1;
        Ok(false)
    }

    #[inline]
    pub(super) fn colon(&mut self) -> Result<(), Fault> {
        self.blanks();
        self.expect(b':', "was expecting a colon to separate field name and value")?;
        self.blanks();
        Ok(())
    }

    /// What is wrong at this place.
    #[cold]
    pub(super) fn fault(&self, what: &'static str) -> Fault {
        Fault::syntax(self.at, what)
    }
}

/// How many bytes come before a quote, a backslash or a control character.
#[inline]
fn plain(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let mut at = 0;
    while let Some(chunk) = text.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("8 bytes"));
        // A byte's high bit is set where the byte is zero, or less than a blank.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * u64::from(b' ')) & !word & HIGH;
        let found = quote | backslash | control;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = &text[at..];
    let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
    at + stop.unwrap_or(rest.len())
}

impl Quoted<'_> {
    /// Appends the string itself. A half of a surrogate pair becomes the replacement character.
    pub(super) fn unescape(&self, out: &mut Vec<u8>) {
        if !self.escaped {
            out.extend_from_slice(self.raw);
            return;
        }
        let mut rest = self.raw;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at + 1..];
            let (kind, after) = rest.split_first().expect("the scanner checked the escape");
            rest = after;
            match kind {
                b'b' => out.push(8),
                b'f' => out.push(12),
                b'n' => out.push(b'\n'),
                b'r' => out.push(b'\r'),
                b't' => out.push(b'\t'),
                b'u' => rest = unicode(rest, out),
                other => out.push(*other),
            }
        }
        out.extend_from_slice(rest);
    }
}

/// Appends the character of `\u` escapes, whose digits come first in `rest`.
fn unicode<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let unit = |digits: &[u8]| {
        digits.iter().fold(0, |unit, digit| {
            unit * 16 + char::from(*digit).to_digit(16).expect("the scanner checked the digits")
        })
    };
    let (digits, mut rest) = rest.split_at(4);
    let mut code = unit(digits);
    if (0xD800..0xDC00).contains(&code) && rest.starts_with(b"\\u") {
        let low = unit(&rest[2..6]);
        if (0xDC00..0xE000).contains(&low) {
            code = 0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            rest = &rest[6..];
        }
    }
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    rest
}

#[cfg(test)]
mod tests {
    use super::super::Cause;
    use super::*;

    fn skipped(text: &str) -> Result<usize, usize> {
        let mut scanner = Scanner::new(text.as_bytes());
        match scanner.skip() {
            Ok(()) => Ok(scanner.at),
            Err(fault) => match *fault.0 {
                Cause::Syntax { at, .. } => Err(at),
                Cause::Data(_) => panic!("skipping compares nothing"),
            },
        }
    }

    #[test]
    fn the_grammar_is_that_of_the_standard() {
        let good = [
            "{}",
            "[]",
            "[1,2 , 3]",
            "{\"a\" : [ {\"b\":null} ] }",
            "\"a\\u00e9\\n\"",
            "0",
            "-0.5e-7",
            "true",
            "12345678901234567890123.5",
            "{\"a\":1,\"a\":2}",
        ];
        for text in good {
            assert_eq!(skipped(text), Ok(text.len()), "{text}");
        }
        let bad = [
            ("", 0),
            ("{", 1),
            ("[1,]", 3),
            ("{\"a\"}", 4),
            ("{\"a\":}", 5),
            ("{a:1}", 1),
            ("01", 1),
            ("1.", 2),
            (".5", 0),
            ("1e", 2),
            ("-", 1),
            ("+1", 0),
            ("nul", 0),
            ("nulls", 4),
            ("\"a", 2),
            ("\"\\x\"", 2),
            ("\"\\u12g4\"", 5),
            ("\"a\nb\"", 2),
            ("[1 2]", 3),
            ("'a'", 0),
            ("NaN", 0),
        ];
        for (text, at) in bad {
            assert_eq!(skipped(text), Err(at), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(skipped(&format!("{}{}", "[".repeat(500), "]".repeat(500))).is_ok());
        assert!(skipped(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn strings_end_at_their_quote_wherever_it_lies() {
        for length in 0..40 {
            let inside = "x".repeat(length);
            let text = format!("\"{inside}\"tail");
            let mut scanner = Scanner::new(text.as_bytes());
            assert_eq!(scanner.string().unwrap().raw, inside.as_bytes());
            let text = format!("\"{inside}\\\"é\u{7f}\"");
            let mut out = Vec::new();
            Scanner::new(text.as_bytes()).string().unwrap().unescape(&mut out);
            assert_eq!(out, format!("{inside}\"é\u{7f}").as_bytes());
        }
    }

    #[test]
    fn escapes_are_what_they_stand_for() {
        let rows = [
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#""\u00e9\u20AC""#, "é€"),
            (r#""\ud83d\ude00!""#, "😀!"),
            (r#""\ud83d!""#, "\u{fffd}!"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
        ];
        for (text, expected) in rows {
            let mut out = Vec::new();
            Scanner::new(text.as_bytes()).string().unwrap().unescape(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_mantissa_and_exponent() {
        let rows = [
            ("0", 0, 0, true),
            ("-12", 12, 0, true),
            ("1.50", 150, -2, true),
            ("1.5e3", 15, 2, true),
            ("18446744073709551615", 1_844_674_407_370_955_161, 1, false),
            ("0.00001", 1, -5, true),
            ("123e-4", 123, -4, true),
            ("1.12345678901234567890", 11_234_567_890_123_456_789, -19, false),
            ("1e99999999999", 1, 1_000_000_000, true),
        ];
        for (text, mantissa, exponent, exact) in rows {
            let number = Scanner::new(text.as_bytes()).number().unwrap();
            assert_eq!(
                (number.mantissa, number.exponent, number.exact),
                (mantissa, exponent, exact),
                "{text}"
            );
            assert_eq!(number.text, text.as_bytes());
        }
    }
}
