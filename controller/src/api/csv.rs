//! Lines of CSV (RFC 4180) that no spreadsheet takes for a formula.

/// One line with its end.
#[must_use]
pub fn line(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    cells.join(",") + "\r\n"
}

/// RFC 3339, UTC.
#[must_use]
pub fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|time| time.to_string()).unwrap_or_default()
}

/// A cell that begins as a formula does gets an apostrophe before it, as OWASP advises ("CSV Injection").
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let guard = if formula { "'" } else { "" };
    format!("\"{guard}{}\"", cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_text_whatever_they_hold() {
        assert_eq!(line(&["a", "b,c", "d\"e", "f\ng"]), "\"a\",\"b,c\",\"d\"\"e\",\"f\ng\"\r\n");
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert!(line(&[formula]).starts_with("\"'"), "{formula:?}");
        }
        assert_eq!(time(1_763_715_600_000), "2025-11-21T09:00:00Z");
    }
}
