//! Numbers of queries: integers of 64 bits as long as they fit, else floating point.
//!
//! jq 1.6 has only the latter and would change identifiers above 2^53 on their way into a
//! partition; otherwise arithmetic and text are its own.

use std::cmp::Ordering;
use std::fmt::Write as _;

/// A number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Integer(i64),
    Float(f64),
}

use Number::{Float, Integer};

/// Digits beyond its own after which jq writes a number with an exponent.
const ZEROS_MAX: i32 = 15;

impl Number {
    /// The number that JSON's `text` stands for.
    pub(super) fn from_json(text: &str) -> Self {
        match text.parse() {
            // Only a floating point number has a negative zero.
            Ok(integer) if integer != 0 || !text.starts_with('-') => Integer(integer),
            _ => Float(text.parse().unwrap_or(f64::NAN)),
        }
    }

    #[allow(clippy::cast_precision_loss)] // That is what becoming a floating point number means.
    pub(super) fn float(self) -> f64 {
        match self {
            Integer(integer) => integer as f64,
            Float(float) => float,
        }
    }

    /// Towards zero, stopping at the ends of the range; 0 for what is no number.
    #[allow(clippy::cast_possible_truncation)] // Saturating is the meaning.
    pub(super) fn integer(self) -> i64 {
        match self {
            Integer(integer) => integer,
            Float(float) => float as i64,
        }
    }

    pub(super) fn is_nan(self) -> bool {
        self.float().is_nan()
    }

    pub(super) fn add(self, other: Self) -> Self {
        self.exact_or(other, i64::checked_add, |left, right| left + right)
    }

    pub(super) fn subtract(self, other: Self) -> Self {
        self.exact_or(other, i64::checked_sub, |left, right| left - right)
    }

    pub(super) fn multiply(self, other: Self) -> Self {
        self.exact_or(other, i64::checked_mul, |left, right| left * right)
    }

    /// `None` where `other` is zero.
    pub(super) fn divide(self, other: Self) -> Option<Self> {
        if other.float() == 0.0 {
            return None;
        }
        let whole = |left: i64, right| {
            (left.checked_rem(right) == Some(0)).then(|| left.checked_div(right)).flatten()
        };
        Some(self.exact_or(other, whole, |left, right| left / right))
    }

    /// The remainder of both without their fractions; `None` where `other` is zero then.
    pub(super) fn remainder(self, other: Self) -> Option<Self> {
        let right = other.integer();
        (right != 0).then(|| Integer(self.integer().wrapping_rem(right)))
    }

    pub(super) fn negate(self) -> Self {
        match self {
            Integer(0) => Float(-0.0),
            Integer(integer) => integer.checked_neg().map_or(Float(-self.float()), Integer),
            Float(float) => Float(-float),
        }
    }

    fn exact_or(
        self,
        other: Self,
        exact: impl Fn(i64, i64) -> Option<i64>,
        float: impl Fn(f64, f64) -> f64,
    ) -> Self {
        if let (Integer(left), Integer(right)) = (self, other)
            && let Some(result) = exact(left, right)
        {
            return Integer(result);
        }
        Float(float(self.float(), other.float()))
    }

    /// A total order; what is no number comes first.
    pub(super) fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Integer(left), Integer(right)) => left.cmp(&right),
            (Integer(left), Float(right)) => order_mixed(left, right),
            (Float(left), Integer(right)) => order_mixed(right, left).reverse(),
            (Float(left), Float(right)) => {
                left.partial_cmp(&right).unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
            }
        }
    }

    /// Writes the number as jq does: the shortest digits that read back as the same number.
    pub(super) fn write(self, output: &mut String) {
        const INFALLIBLE: &str = "writing to a string does not fail";
        let float = match self {
            Integer(integer) => return write!(output, "{integer}").expect(INFALLIBLE),
            Float(float) if float.is_nan() => return output.push_str("null"),
            Float(float) => float.clamp(f64::MIN, f64::MAX),
        };
        let text = format!("{:e}", float.abs());
        let (mantissa, exponent) = text.split_once('e').expect("the format has an exponent");
        let digits = mantissa.replace('.', "");
        let count = i32::try_from(digits.len()).expect("at most 17 digits");
        let point = exponent.parse::<i32>().expect("the exponent is a number") + 1;
        if float.is_sign_negative() {
            output.push('-');
        }
        if point <= -4 || point > count + ZEROS_MAX {
            output.push_str(mantissa);
            write!(output, "e{:+03}", point - 1).expect(INFALLIBLE);
        } else if point <= 0 {
            output.push_str("0.");
            (point..0).for_each(|_| output.push('0'));
            output.push_str(&digits);
        } else {
            let whole = usize::try_from(point).expect("it is positive");
            for (index, digit) in digits.chars().enumerate() {
                if index == whole {
                    output.push('.');
                }
                output.push(digit);
            }
            (count..point).for_each(|_| output.push('0'));
        }
    }
}

/// Exact, so that order stays transitive where floating point has gaps.
#[allow(clippy::cast_possible_truncation)] // Checked to be in range.
fn order_mixed(integer: i64, float: f64) -> Ordering {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0; // 2^63
    if float.is_nan() || float < -BEYOND {
        return Ordering::Greater;
    }
    if float >= BEYOND {
        return Ordering::Less;
    }
    let whole = float.trunc();
    integer.cmp(&(whole as i64)).then_with(|| {
        // The fraction is nearer to the float than the integer is.
        0.0.partial_cmp(&(float - whole)).unwrap_or(Ordering::Equal)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: Number) -> String {
        let mut output = String::new();
        number.write(&mut output);
        output
    }

    /// Rows of jq 1.6, but for integers that it cannot hold.
    #[test]
    fn numbers_are_written_as_jq_writes_them() {
        let rows = [
            ("1e17", "1e+17"),
            ("1e15", "1000000000000000"),
            ("1e-4", "0.0001"),
            ("1e-5", "1e-05"),
            ("1.5e-7", "1.5e-07"),
            ("3.0", "3"),
            ("1.1", "1.1"),
            ("1e300", "1e+300"),
            ("1e1000", "1.7976931348623157e+308"),
            ("-0", "-0"),
            ("12345678901234567890", "12345678901234567000"),
            ("5e-324", "5e-324"),
            ("0.00001234", "1.234e-05"),
            ("-1.5e3", "-1500"),
            ("100.25", "100.25"),
            ("9007199254740993", "9007199254740993"),
            ("0", "0"),
            ("0.0", "0"),
        ];
        for (json, jq) in rows {
            assert_eq!(text(Number::from_json(json)), jq, "{json}");
        }
        assert_eq!(text(Float(f64::NAN)), "null");
    }

    #[test]
    fn integers_stay_exact_until_they_do_not_fit() {
        let large = Integer(i64::MAX);
        assert_eq!(text(large.subtract(Integer(1))), "9223372036854775806");
        assert_eq!(
            text(large.add(Integer(1))),
            "9223372036854775808".replace("4775808", "4776000")
        );
        assert_eq!(text(Integer(7).divide(Integer(2)).unwrap()), "3.5");
        assert_eq!(text(Integer(6).divide(Integer(2)).unwrap()), "3");
        assert!(Integer(6).divide(Integer(0)).is_none());
        assert!(Integer(6).remainder(Float(0.5)).is_none());
        assert_eq!(text(Integer(i64::MIN).remainder(Integer(-1)).unwrap()), "0");
        assert_eq!(text(Integer(i64::MIN).negate()), "9223372036854776000");
    }

    #[test]
    fn order_is_exact_between_integers_and_floating_point() {
        let rising = [
            Float(f64::NAN),
            Float(f64::NEG_INFINITY),
            Integer(i64::MIN),
            Float(-0.5),
            Integer(0),
            Float(0.5),
            Integer(1),
            Integer(9_007_199_254_740_992),
            Integer(9_007_199_254_740_993),
            Float(9_007_199_254_740_994.0),
            Integer(i64::MAX),
            Float(9_223_372_036_854_775_808.0),
            Float(f64::INFINITY),
        ];
        for (left_index, left) in rising.iter().enumerate() {
            for (right_index, right) in rising.iter().enumerate() {
                assert_eq!(left.order(*right), left_index.cmp(&right_index), "{left:?} {right:?}");
            }
        }
    }
}
