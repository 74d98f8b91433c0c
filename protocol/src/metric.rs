//! What a metric is: name, unit, resolution, column, export name.
//!
//! The catalogue itself stands in [`crate::samples`], one noun a file. Column lists, COPY,
//! `/metrics`, chart labels and the wire all derive from it: a new metric is a line there, a line
//! in its collector and a migration.

use serde::Serialize;

/// Unit of a metric; base units, as Prometheus names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Share of a whole, 0–100; of one core for `container.cpu_percent`.
    Percent,
    Bytes,
    BytesPerSecond,
    /// Operations, packets or errors a second.
    PerSecond,
    Count,
    Celsius,
    Watts,
    Joules,
    Megahertz,
    Seconds,
    /// A small enumeration; the metric's help lists its values.
    State,
    /// A set of bits; the metric's help names them.
    Bits,
}

/// Postgres type of the hot column, widest first within a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// `bigint`: exact integers.
    Int8,
    /// `real`: rounded to at most six digits anyway.
    Real,
    /// `smallint`: small counts and states.
    Int2,
}

/// How finely a value is kept: sensor accuracy, not float noise. It shrinks the wire and the disk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Resolution {
    /// Multiples of a step, in the metric's unit.
    Step(f64),
    /// `digits` significant decimal digits, but never finer than `unit`.
    Digits { digits: u32, unit: f64 },
}

impl Resolution {
    /// The integer code of `value`. Codes grow with the value, and neighbouring values have
    /// neighbouring codes, so that differences between ticks are small integers.
    ///
    /// Values that are not finite give `None`: a sensor that says NaN says nothing.
    #[must_use]
    pub fn encode(self, value: f64) -> Option<i64> {
        if !value.is_finite() {
            return None;
        }
        match self {
            Self::Step(step) => to_i64((value / step).round()),
            Self::Digits { digits, unit } => digits_code(value / unit, digits),
        }
    }

    /// The value that `code` stands for; the inverse of [`Resolution::encode`] up to rounding.
    /// Any code gives a finite value: codes come from the network.
    #[must_use]
    pub fn decode(self, code: i64) -> f64 {
        match self {
            // Division by the inverse keeps 0.1-steps on their shortest decimal.
            Self::Step(step) if step < 1.0 => code as f64 / (1.0 / step).round(),
            Self::Step(step) => code as f64 * step,
            Self::Digits { digits, unit } => {
                let plain = digits_value(code, digits);
                if unit < 1.0 { plain / (1.0 / unit).round() } else { plain * unit }
            }
        }
    }
}

fn to_i64(value: f64) -> Option<i64> {
    // 2^53: beyond it a float no longer counts single units.
    (value.abs() <= 9_007_199_254_740_992.0).then_some(value as i64)
}

/// Decimal floating code: 0 … 10^d − 1 stand for themselves; above, each decade has
/// 9·10^(d−1) codes. Symmetric for negative values.
fn digits_code(value: f64, digits: u32) -> Option<i64> {
    let magnitude = to_i64(value.abs().round())? as u64;
    let full = 10_u64.pow(digits);
    let per_decade = (full - full / 10) as i64;
    let (mut mantissa, mut scale, mut decade) = (magnitude, 1_u64, 0_i64);
    while mantissa >= full {
        scale *= 10;
        mantissa = (magnitude + scale / 2) / scale;
        decade += 1;
    }
    let code = mantissa as i64 + decade * per_decade;
    Some(if value < 0.0 { -code } else { code })
}

/// Largest decade that a code from the network may name: 10^16 exceeds every unit that we measure.
const DECADES: i64 = 16;

fn digits_value(code: i64, digits: u32) -> f64 {
    let full = 10_i64.pow(digits);
    let first = full / 10;
    let per_decade = full - first;
    let magnitude = code.unsigned_abs().min(i64::MAX as u64) as i64;
    let value = if magnitude < full {
        magnitude as f64
    } else {
        let decade = ((magnitude - first) / per_decade).min(DECADES);
        let mantissa = first + (magnitude - first) % per_decade;
        mantissa as f64 * 10_f64.powi(decade as i32)
    };
    if code < 0 { -value } else { value }
}

/// One line of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Field, column and API name, for instance `memory_used_bytes`.
    pub name: &'static str,
    pub unit: Unit,
    pub column: Column,
    pub resolution: Resolution,
    /// What it is and where it comes from, one sentence.
    pub help: &'static str,
    /// Name under which node_exporter, cAdvisor or dcgm-exporter export the same meaning.
    pub prometheus: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Resolution = Resolution::Digits { digits: 3, unit: 1.0 };

    #[test]
    fn neighbouring_decades_have_neighbouring_codes() {
        assert_eq!(RATE.encode(999.0), Some(999));
        assert_eq!(RATE.encode(1_000.0), Some(1_000));
        assert_eq!(RATE.encode(1_010.0), Some(1_001));
        assert_eq!(RATE.encode(9_990.0), Some(1_899));
        assert_eq!(RATE.encode(10_000.0), Some(1_900));
        assert_eq!(RATE.decode(1_900), 10_000.0);
    }

    #[test]
    fn steps_decode_to_their_shortest_decimal() {
        let watts = Resolution::Step(0.1);
        assert_eq!(watts.decode(3), 0.3);
        assert_eq!(watts.encode(0.3), Some(3));
    }

    #[test]
    fn what_is_not_a_number_is_absent() {
        assert_eq!(RATE.encode(f64::NAN), None);
        assert_eq!(RATE.encode(f64::INFINITY), None);
    }

    proptest! {
        #[test]
        fn rounding_stays_within_the_stated_digits(value in -1e15..1e15_f64) {
            let code = RATE.encode(value).expect("finite");
            let back = RATE.decode(code);
            let tolerance = (value.abs() * 0.005).max(0.5) * 1.0001;
            prop_assert!((back - value).abs() <= tolerance, "{value} became {back}");
            prop_assert_eq!(RATE.encode(back), Some(code), "encoding is idempotent");
        }

        #[test]
        fn any_code_decodes_to_a_finite_value(code in any::<i64>()) {
            prop_assert!(RATE.decode(code).is_finite());
            prop_assert!(Resolution::Step(0.1).decode(code).is_finite());
        }
    }
}
