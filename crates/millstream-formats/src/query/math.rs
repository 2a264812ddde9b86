//! Natives on numbers.

use jaq_core::native::{bome, unary, v};

use super::natives::Native;
use super::number::Number;
use super::value::{Val, ValR};

/// A function of one number.
macro_rules! of_one {
    ($name:literal, $function:expr) => {
        ($name, v(0), |cv| bome(one(&cv.1, $function)))
    };
}

/// A function of two numbers, which takes them as arguments.
macro_rules! of_two {
    ($name:literal, $function:expr) => {
        ($name, v(2), |mut cv| {
            let second = cv.0.pop_var();
            let first = cv.0.pop_var();
            bome(two(&first, &second, $function))
        })
    };
}

pub(super) fn natives() -> Vec<Native> {
    let mut natives = constants();
    natives.extend(rounding());
    natives.extend(functions());
    natives
}

fn constants() -> Vec<Native> {
    vec![
        ("nan", v(0), |_| bome(Ok(float(f64::NAN)))),
        ("infinite", v(0), |_| bome(Ok(float(f64::INFINITY)))),
        ("isnan", v(0), |cv| bome(cv.1.number().map(|number| Val::Bool(number.is_nan())))),
        ("isinfinite", v(0), |cv| {
            bome(cv.1.number().map(|number| Val::Bool(number.float().is_infinite())))
        }),
        ("isnormal", v(0), |cv| {
            bome(cv.1.number().map(|number| Val::Bool(number.float().is_normal())))
        }),
    ]
}

fn rounding() -> Vec<Native> {
    vec![
        ("floor", v(0), |cv| bome(round(&cv.1, f64::floor))),
        ("ceil", v(0), |cv| bome(round(&cv.1, f64::ceil))),
        ("round", v(0), |cv| bome(round(&cv.1, f64::round))),
        ("trunc", v(0), |cv| bome(round(&cv.1, f64::trunc))),
        ("rint", v(0), |cv| bome(round(&cv.1, f64::round_ties_even))),
        ("nearbyint", v(0), |cv| bome(round(&cv.1, f64::round_ties_even))),
        ("fabs", v(0), |cv| bome(round(&cv.1, f64::abs))),
    ]
}

fn functions() -> Vec<Native> {
    vec![
        of_one!("sqrt", f64::sqrt),
        of_one!("cbrt", f64::cbrt),
        of_one!("exp", f64::exp),
        of_one!("exp2", f64::exp2),
        of_one!("exp10", |x| 10_f64.powf(x)),
        of_one!("pow10", |x| 10_f64.powf(x)),
        of_one!("expm1", f64::exp_m1),
        of_one!("log", f64::ln),
        of_one!("log2", f64::log2),
        of_one!("log10", f64::log10),
        of_one!("log1p", f64::ln_1p),
        of_one!("sin", f64::sin),
        of_one!("cos", f64::cos),
        of_one!("tan", f64::tan),
        of_one!("asin", f64::asin),
        of_one!("acos", f64::acos),
        of_one!("atan", f64::atan),
        of_one!("sinh", f64::sinh),
        of_one!("cosh", f64::cosh),
        of_one!("tanh", f64::tanh),
        of_one!("asinh", f64::asinh),
        of_one!("acosh", f64::acosh),
        of_one!("atanh", f64::atanh),
        of_two!("pow", f64::powf),
        of_two!("atan2", f64::atan2),
        of_two!("fmin", f64::min),
        of_two!("fmax", f64::max),
        of_two!("fmod", |x, y| x % y),
        of_two!("fdim", |x, y| if x > y { x - y } else { 0.0 }),
        of_two!("hypot", f64::hypot),
        of_two!("copysign", f64::copysign),
        ("ldexp", v(1), |cv| unary(cv, |x, exponent| two(&x, &exponent, |x, e| x * e.exp2()))),
    ]
}

fn float(number: f64) -> Val {
    Val::Num(Number::Float(number))
}

fn one(value: &Val, function: fn(f64) -> f64) -> ValR {
    Ok(float(function(value.number()?.float())))
}

fn two(first: &Val, second: &Val, function: fn(f64, f64) -> f64) -> ValR {
    Ok(float(function(first.number()?.float(), second.number()?.float())))
}

/// A rounded number is an integer again where it fits.
#[allow(clippy::cast_possible_truncation)] // Checked to be in range.
fn round(value: &Val, function: fn(f64) -> f64) -> ValR {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    let number = value.number()?;
    if let Number::Integer(integer) = number
        && function(-1.5) < 0.0
    {
        return Ok(Val::Num(Number::Integer(integer)));
    }
    let rounded = function(number.float());
    let integral = rounded.fract() == 0.0
        && rounded.abs() <= EXACT
        && rounded.to_bits() != (-0.0_f64).to_bits();
    Ok(Val::Num(if integral { Number::Integer(rounded as i64) } else { Number::Float(rounded) }))
}
