//! Rows in the binary format of `COPY … FROM STDIN (FORMAT binary)`.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format": a signature, then for
//! each tuple the count of its fields and each field's length and bytes, big-endian; −1 is null.

/// Signature, flags, length of the header's extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Where a tuple could begin: none does.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// 2000-01-01 in milliseconds since 1970-01-01: Postgres's own epoch.
const EPOCH_MS: i64 = 946_684_800_000;

/// Tuples of one table.
#[derive(Debug)]
pub struct CopyBuffer {
    bytes: Vec<u8>,
}

impl Default for CopyBuffer {
    fn default() -> Self {
        Self { bytes: HEADER.to_vec() }
    }
}

impl CopyBuffer {
    /// Begins a tuple; exactly `fields` must follow.
    pub fn tuple(&mut self, fields: i16) {
        self.bytes.extend_from_slice(&fields.to_be_bytes());
    }

    /// A `timestamptz` from milliseconds since the Unix epoch.
    pub fn time(&mut self, ms: i64) {
        self.field(&ms.saturating_sub(EPOCH_MS).saturating_mul(1_000).to_be_bytes());
    }

    pub fn int8(&mut self, value: Option<i64>) {
        self.optional(value.map(i64::to_be_bytes));
    }

    pub fn int4(&mut self, value: i32) {
        self.field(&value.to_be_bytes());
    }

    pub fn int2(&mut self, value: Option<i16>) {
        self.optional(value.map(i16::to_be_bytes));
    }

    pub fn real(&mut self, value: Option<f32>) {
        self.optional(value.map(f32::to_be_bytes));
    }

    /// What goes over the wire.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&TRAILER);
        self.bytes
    }

    fn optional<const N: usize>(&mut self, value: Option<[u8; N]>) {
        match value {
            Some(bytes) => self.field(&bytes),
            None => self.bytes.extend_from_slice(&NULL),
        }
    }

    fn field<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.bytes.extend_from_slice(&(N as i32).to_be_bytes());
        self.bytes.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_manual() {
        let mut buffer = CopyBuffer::default();
        buffer.tuple(3);
        buffer.time(EPOCH_MS + 1);
        buffer.int2(Some(-2));
        buffer.real(None);
        let bytes = buffer.finish();
        assert_eq!(bytes[..11], *b"PGCOPY\n\xff\r\n\0");
        assert_eq!(bytes[11..19], [0; 8], "no flags, no extension");
        let tuple = [0, 3, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 3, 0xe8, 0, 0, 0, 2, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(bytes[19..43], tuple);
        assert_eq!(bytes[43..], [0xff, 0xff]);
    }
}
