//! Numbers of columns from numbers of JSON, exactly where the column can hold them exactly.
//!
//! Text that is a number (OpenX takes numbers in strings) goes the same way, by Java's rules for
//! each type: no blanks around an integer, `0x` before a hexadecimal one, blanks and a trailing
//! `d` or `f` around a floating one.

use super::scan::{Number, Scanner};

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Integers that a double holds exactly.
const MANTISSA_MAX: u64 = 1 << 53;

/// The integer a number is, if it is one and 64 bits hold it.
#[inline]
pub(super) fn integer(number: &Number<'_>) -> Option<i64> {
    if !number.integer || !number.exact {
        return None;
    }
    if number.negative {
        0_i64.checked_sub_unsigned(number.mantissa)
    } else {
        i64::try_from(number.mantissa).ok()
    }
}

/// The integer a number has before its point, as Jackson's accessors for integers read it.
pub(super) fn truncated(number: &Number<'_>) -> Option<i64> {
    /// 2 to the 63: the first double that 64 bits do not hold.
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if number.integer {
        return integer(number);
    }
    let value = double(number)?.trunc();
    #[expect(clippy::cast_possible_truncation, reason = "checked against the bounds")]
    (-BOUND..BOUND).contains(&value).then_some(value as i64)
}

/// The integer that text is, by Java's rules.
pub(super) fn integer_text(text: &str) -> Option<i64> {
    // Rust reads a sign and digits, as Java does.
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The double nearest to a number; `None` beyond the doubles.
#[inline]
pub(super) fn double(number: &Number<'_>) -> Option<f64> {
    let power = usize::try_from(number.exponent.unsigned_abs()).ok();
    let power = power.and_then(|power| POWERS.get(power));
    if let (true, true, Some(power)) = (number.exact, number.mantissa <= MANTISSA_MAX, power) {
        // Both are exact, so one operation rounds once: this is the nearest double.
        #[expect(clippy::cast_precision_loss, reason = "at most 53 bits")]
        let mantissa = number.mantissa as f64;
        let value = if number.exponent < 0 { mantissa / power } else { mantissa * power };
        return Some(if number.negative { -value } else { value });
    }
    ascii(number.text).parse().ok().filter(|value: &f64| value.is_finite())
}

/// The float nearest to a number; `None` beyond the floats.
pub(super) fn float(number: &Number<'_>) -> Option<f32> {
    ascii(number.text).parse().ok().filter(|value: &f32| value.is_finite())
}

/// The double that text is, by Java's rules.
pub(super) fn double_text(text: &str) -> Option<f64> {
    floating(text)
}

/// The float that text is, by Java's rules.
pub(super) fn float_text(text: &str) -> Option<f32> {
    floating(text)
}

fn floating<F: std::str::FromStr + From<f32> + PartialEq + Copy>(text: &str) -> Option<F> {
    let text = text.trim_matches(|c: char| c <= ' ');
    match text.trim_start_matches(['+', '-']) {
        "NaN" => return Some(f32::NAN.into()),
        "Infinity" => {
            return Some(
                if text.starts_with('-') { f32::NEG_INFINITY } else { f32::INFINITY }.into(),
            );
        }
        _ => {}
    }
    let digits = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    // Rust also reads words such as `inf`, which Java does not.
    if digits.bytes().any(|byte| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E')) {
        return None;
    }
    let value: F = digits.parse().ok()?;
    let finite = value != f32::INFINITY.into() && value != f32::NEG_INFINITY.into();
    finite.then_some(value)
}

/// Why a decimal is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoDecimal {
    /// It has more digits before the point than the column.
    TooLarge,
    /// It is not a number.
    NotANumber,
}

/// A number times ten to `scale`, rounded half up, if `precision` digits hold it.
pub(super) fn decimal(number: &Number<'_>, precision: u8, scale: u8) -> Result<i128, NoDecimal> {
    if number.mantissa == 0 && number.exact {
        return Ok(0);
    }
    let shift = i64::from(number.exponent) + i64::from(scale);
    let unscaled = if number.exact {
        shifted(i128::from(number.mantissa), shift)
    } else {
        long_decimal(number, scale)
    };
    let bound = 10_i128.pow(u32::from(precision));
    match unscaled {
        Some(value) if value < bound => Ok(if number.negative { -value } else { value }),
        _ => Err(NoDecimal::TooLarge),
    }
}

/// Text that is a number, as [`decimal`].
pub(super) fn decimal_text(text: &str, precision: u8, scale: u8) -> Result<i128, NoDecimal> {
    let number = number_text(text).ok_or(NoDecimal::NotANumber)?;
    decimal(&number, precision, scale)
}

/// Reads text as a number of JSON; a plus sign may come first, and a point may have no digit on
/// one of its sides, as BigDecimal reads them.
pub(super) fn number_text(text: &str) -> Option<Number<'_>> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let mut scanner = Scanner::new(text.as_bytes());
    match scanner.number() {
        Ok(number) if scanner.is_at_end() => Some(number),
        _ => None,
    }
}

/// `value` times ten to `shift`, rounded half up; `None` where that has more than 38 digits.
fn shifted(value: i128, shift: i64) -> Option<i128> {
    if shift >= 0 {
        let power = u32::try_from(shift).ok().and_then(|shift| 10_i128.checked_pow(shift))?;
        return value.checked_mul(power);
    }
    let Some(power) = u32::try_from(-shift).ok().and_then(|shift| 10_i128.checked_pow(shift))
    else {
        return Some(0);
    };
    let (quotient, rest) = (value / power, value % power);
    Some(quotient + i128::from(rest >= power - rest))
}

/// As [`shifted`], from the digits of a number that has more than 64 bits of them.
fn long_decimal(number: &Number<'_>, scale: u8) -> Option<i128> {
    let digits = number.text.iter().take_while(|byte| !matches!(byte, b'e' | b'E'));
    let digits: Vec<u8> =
        digits.filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0').collect();
    // The mantissa holds the first digits and the exponent counts the others, so this is where
    // the last digit stands.
    let held = significant(&digits);
    let last = i64::from(number.exponent) - i64::try_from(held.len()).ok()?
        + i64::try_from(number.mantissa.to_string().len()).ok()?;
    let shift = last + i64::from(scale);
    let keep = i64::try_from(held.len()).ok()? + shift.min(0);
    let Ok(keep) = usize::try_from(keep) else {
        return Some(0);
    };
    let (kept, dropped) = held.split_at(keep);
    if kept.len() > 38 {
        return None;
    }
    let value = kept.iter().fold(0_i128, |value, digit| value * 10 + i128::from(*digit));
    let value = value + i128::from(dropped.first().is_some_and(|digit| *digit >= 5));
    shifted(value, shift.max(0))
}

/// Digits without the zeros in front.
fn significant(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    &digits[zeros..]
}

/// A number's text, which has only ASCII in it.
fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number<'_> {
        Scanner::new(text.as_bytes()).number().unwrap()
    }

    #[test]
    fn integers_stop_at_their_bounds() {
        assert_eq!(integer(&number("9223372036854775807")), Some(i64::MAX));
        assert_eq!(integer(&number("9223372036854775808")), None);
        assert_eq!(integer(&number("-9223372036854775808")), Some(i64::MIN));
        assert_eq!(integer(&number("-9223372036854775809")), None);
        assert_eq!(integer(&number("1.0")), None);
        assert_eq!(truncated(&number("-1.9")), Some(-1));
        assert_eq!(truncated(&number("1e30")), None);
    }

    #[test]
    fn text_is_a_number_by_javas_rules() {
        assert_eq!(integer_text("+5"), Some(5));
        assert_eq!(integer_text("0x1F"), Some(31));
        assert_eq!(integer_text(" 5"), None);
        assert_eq!(integer_text("5.0"), None);
        assert_eq!(double_text(" 1.5d "), Some(1.5));
        assert!(double_text("NaN").unwrap().is_nan());
        assert_eq!(double_text("-Infinity"), Some(f64::NEG_INFINITY));
        for no in ["inf", "nan", "", "1e400", "0x10", "1,5", "oops"] {
            assert_eq!(double_text(no), None, "{no}");
        }
        assert_eq!(float_text("3.4e39"), None);
    }

    #[test]
    fn decimals_round_half_up_and_never_lose_digits_before_the_point() {
        let rows = [
            ("12.345", 4, 2, Ok(1235)),
            ("-12.345", 4, 2, Ok(-1235)),
            ("99.99", 4, 2, Ok(9999)),
            ("99.995", 4, 2, Err(NoDecimal::TooLarge)),
            ("12345.67", 4, 2, Err(NoDecimal::TooLarge)),
            ("1e1000000000", 38, 0, Err(NoDecimal::TooLarge)),
            ("1e-1000000000", 38, 10, Ok(0)),
            ("0e1000000000", 38, 38, Ok(0)),
            ("1.5e3", 10, 1, Ok(15_000)),
            ("12345678901234567890.12", 22, 2, Ok(1_234_567_890_123_456_789_012)),
            ("99999999999999999999999999999999999999", 38, 0, Ok(10_i128.pow(38) - 1)),
            ("100000000000000000000000000000000000000", 38, 0, Err(NoDecimal::TooLarge)),
            ("0.000000000000000000000000000000000000001", 38, 38, Ok(0)),
            ("0.999999999999999999999999999999999999999", 38, 38, Err(NoDecimal::TooLarge)),
            ("0.12345678901234567890123456789", 38, 5, Ok(12_346)),
            ("123456789012345678901234567890e-25", 10, 3, Ok(12_345_679)),
            ("00.5", 4, 2, Err(NoDecimal::NotANumber)),
            ("", 4, 2, Err(NoDecimal::NotANumber)),
        ];
        for (text, precision, scale, expected) in rows {
            assert_eq!(decimal_text(text, precision, scale), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn doubles_are_the_nearest_ones(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            for text in [format!("{value}"), format!("{value:e}")] {
                prop_assert_eq!(double(&number(&text)), Some(value));
            }
        }

        #[test]
        fn short_doubles_are_the_nearest_ones(mantissa in 0_u64..1 << 60, exponent in -30_i32..30) {
            let text = format!("{mantissa}e{exponent}");
            prop_assert_eq!(double(&number(&text)), text.parse().ok());
        }

        #[test]
        fn decimals_come_back(unscaled in -(10_i128.pow(38) - 1)..10_i128.pow(38), scale in 0_u8..=38) {
            let digits = format!("{:039}", unscaled.unsigned_abs());
            let (whole, fraction) = digits.split_at(39 - usize::from(scale));
            let whole = whole.trim_start_matches('0');
            let sign = if unscaled < 0 { "-" } else { "" };
            let whole = if whole.is_empty() { "0" } else { whole };
            let point = if scale == 0 { "" } else { "." };
            let text = format!("{sign}{whole}{point}{fraction}");
            prop_assert_eq!(decimal_text(&text, 38, scale), Ok(unscaled));
        }
    }
}
