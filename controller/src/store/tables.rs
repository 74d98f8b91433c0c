//! The hot table of each kind, derived from the metric catalogue. The only place where names
//! become SQL: none of them comes from outside.

use fleetlight_protocol::metric::{Column, Metric};
use fleetlight_protocol::samples::EntityKind;
use std::sync::LazyLock;

/// Where samples of one kind go first.
#[derive(Debug)]
pub struct HotTable {
    pub kind: EntityKind,
    pub name: String,
    /// Metrics in column order, widest first, each with its place in the catalogue.
    pub columns: Vec<(usize, Column)>,
    pub copy: String,
    /// The same into the table of what came too late for its hour.
    pub copy_late: String,
}

impl HotTable {
    fn of(kind: EntityKind) -> Self {
        let name = format!("{}_hot", kind.name());
        let mut columns: Vec<_> = kind.metrics().iter().map(|metric| metric.column).enumerate().collect();
        columns.sort_by_key(|(place, column)| (*column, *place));
        let names: String = columns.iter().map(|(place, _)| format!(", {}", kind.metrics()[*place].name)).collect();
        let copy = format!("copy {name} (ts, host_id, entity_id{names}) from stdin (format binary)");
        let copy_late = copy.replacen("_hot ", "_late ", 1);
        Self { kind, name, columns, copy, copy_late }
    }

    pub fn metrics(&self) -> &'static [Metric] {
        self.kind.metrics()
    }
}

/// The table of a kind; none for kinds without metrics.
#[must_use]
pub fn of(kind: EntityKind) -> Option<&'static HotTable> {
    all().iter().find(|table| table.kind == kind)
}

/// All of them.
#[must_use]
pub fn all() -> &'static [HotTable] {
    static TABLES: LazyLock<Vec<HotTable>> = LazyLock::new(|| {
        let kinds = EntityKind::ALL.into_iter().filter(|kind| !kind.metrics().is_empty());
        kinds.map(HotTable::of).collect()
    });
    &TABLES
}

/// Postgres's name of a column's type.
#[must_use]
pub fn type_name(column: Column) -> &'static str {
    match column {
        Column::Int8 => "bigint",
        Column::Real => "real",
        Column::Int2 => "smallint",
    }
}
