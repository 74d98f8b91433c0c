//! Arrays of numbers in Postgres's binary format, walked without a value of their own for each element.
//!
//! `array_send` in Postgres's `arrayfuncs.c`: number of dimensions, whether there are nulls, the elements' type; length
//! and lower bound of each dimension; then each element's length (−1: null) and bytes, big-endian.

use super::StoreError;
use sqlx::postgres::PgRow;
use sqlx::{Row, ValueRef};

/// The elements of one array of one dimension.
#[derive(Debug, Clone, Copy)]
pub struct Elements<'a> {
    element: Element,
    bytes: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
enum Element {
    Int2,
    Int4,
    Int8,
    Real,
}

impl Element {
    /// By the number of a type, in `pg_type.dat`.
    fn of(oid: u32) -> Option<Self> {
        match oid {
            20 => Some(Self::Int8),
            21 => Some(Self::Int2),
            23 => Some(Self::Int4),
            700 => Some(Self::Real),
            _ => None,
        }
    }

    fn read(self, bytes: &[u8]) -> Option<f64> {
        Some(match self {
            Self::Int2 => f64::from(i16::from_be_bytes(bytes.try_into().ok()?)),
            Self::Int4 => f64::from(i32::from_be_bytes(bytes.try_into().ok()?)),
            Self::Int8 => i64::from_be_bytes(bytes.try_into().ok()?) as f64,
            Self::Real => f64::from(f32::from_be_bytes(bytes.try_into().ok()?)),
        })
    }
}

/// The array in a column of a row in binary format; None: null, or without elements.
pub fn elements(row: &PgRow, column: usize) -> Result<Option<Elements<'_>>, StoreError> {
    let unreadable = || StoreError::Unreadable { doing: "reading a series", what: format!("column {column}") };
    let value = row.try_get_raw(column).map_err(|source| StoreError::Sql { doing: "reading a series", source })?;
    if value.is_null() {
        return Ok(None);
    }
    opened(value.as_bytes().map_err(|_| unreadable())?).map_err(|()| unreadable())
}

fn opened(bytes: &[u8]) -> Result<Option<Elements<'_>>, ()> {
    let (head, bytes) = bytes.split_first_chunk::<12>().ok_or(())?;
    let [dimensions, _, oid] =
        [0, 4, 8].map(|at| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
    let element = Element::of(oid).ok_or(())?;
    match dimensions {
        0 => Ok(None),
        1 => Ok(Some(Elements { element, bytes: bytes.get(8..).ok_or(())? })),
        _ => Err(()),
    }
}

impl Iterator for Elements<'_> {
    type Item = Option<f64>;

    /// Ends at what cannot be read.
    fn next(&mut self) -> Option<Option<f64>> {
        let (length, rest) = self.bytes.split_first_chunk::<4>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            self.bytes = rest;
            return Some(None);
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.bytes = rest;
        self.element.read(value).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(oid: u32, elements: &[Option<&[u8]>]) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            [1, 0, oid, elements.len() as u32, 1].iter().flat_map(|word| word.to_be_bytes()).collect();
        for element in elements {
            bytes.extend(element.map_or(-1, |element| element.len() as i32).to_be_bytes());
            bytes.extend(element.unwrap_or_default());
        }
        bytes
    }

    #[test]
    fn elements_are_those_of_the_array() {
        let read = |bytes: &[u8]| opened(bytes).expect("readable").expect("elements").collect::<Vec<_>>();
        let real = 1.5_f32.to_be_bytes();
        assert_eq!(read(&array(700, &[Some(&real), None, Some(&real)])), [Some(1.5), None, Some(1.5)]);
        assert_eq!(read(&array(20, &[Some(&(-7_i64).to_be_bytes())])), [Some(-7.0)]);
        assert_eq!(read(&array(21, &[Some(&300_i16.to_be_bytes())])), [Some(300.0)]);
        assert!(opened(&[0; 12]).is_err(), "no type");
        let empty: Vec<u8> = [0_u32, 0, 700].iter().flat_map(|word| word.to_be_bytes()).collect();
        assert!(opened(&empty).expect("readable").is_none());
    }

    #[test]
    fn what_is_cut_short_ends() {
        let whole = array(700, &[Some(&[0; 4]), Some(&[0; 4])]);
        for length in 0..whole.len() {
            let found = opened(&whole[..length]).ok().flatten().map_or(0, Iterator::count);
            assert!(found < 2, "{length} bytes");
        }
        assert!(opened(&array(25, &[])).is_err(), "text is no number");
    }
}
