//! Enums as people read them in tables and answers: without the outer name, which stands beside them.

use serde::Serialize;
use serde_json::{Map, Value};

/// An externally tagged enum as its inside: `{"host": {…}}` → `{…}`, `"gone"` → `{}`.
#[must_use]
pub fn untagged<T: Serialize>(tagged: &T) -> Value {
    // Plain data: writing it as JSON cannot fail.
    match serde_json::to_value(tagged) {
        Ok(Value::Object(fields)) => fields.into_iter().next().map(|(_, inside)| inside).unwrap_or_default(),
        _ => Value::Object(Map::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Fact;
    use serde_json::json;

    #[test]
    fn tags_are_taken_off() {
        assert_eq!(untagged(&Fact::Xid { code: 79, meaning: "off".into() }), json!({"code": 79, "meaning": "off"}));
        assert_eq!(untagged(&Fact::GpuBack), json!({}));
    }
}
