//! Whether the load was one: of how many containers the numbers changed at each tick.

use anyhow::{Context, Result, ensure};
use fleetlight_protocol::samples::EntityKind;
use serde_json::Value;
use std::collections::HashMap;

/// The metrics that must change; of each line one is enough.
const RESOURCES: [(&str, &[&str]); 4] = [
    ("CPU", &["cpu_percent"]),
    ("memory", &["memory_used_bytes", "memory_cache_bytes"]),
    ("network", &["receive_bytes_per_second", "transmit_bytes_per_second"]),
    ("I/O", &["read_bytes_per_second", "write_bytes_per_second"]),
];

/// The last values of each resource of a container.
type Last = [Vec<Option<f64>>; RESOURCES.len()];

/// Follows the rows of containers.
#[derive(Debug, Default)]
pub struct Activity {
    containers: HashMap<String, Last>,
    /// Of each tick: rows, and how many of them changed, by resource.
    ticks: Vec<(usize, [usize; RESOURCES.len()], usize)>,
    /// What was ever present: a kernel may not count a cgroup's I/O.
    counted: [bool; RESOURCES.len()],
}

impl Activity {
    /// Takes the rows of one batch in; those of other entities are passed over.
    pub fn take(&mut self, rows: &[Value]) {
        let rows: Vec<_> = rows.iter().filter(|row| row["kind"] == EntityKind::Container.name()).collect();
        if rows.is_empty() {
            return;
        }
        let first = self.containers.is_empty();
        let (mut changed, mut all) = ([0; RESOURCES.len()], 0);
        for row in &rows {
            let now = RESOURCES.map(|(_, names)| names.iter().map(|name| value(row, name)).collect::<Vec<_>>());
            let key = row["key"].as_str().unwrap_or_default().to_owned();
            let last = self.containers.entry(key).or_default();
            let mut every = true;
            for (at, now) in now.into_iter().enumerate() {
                let present = now.iter().any(Option::is_some);
                self.counted[at] |= present;
                let moved = present && now != last[at];
                last[at] = now;
                changed[at] += usize::from(moved);
                every &= moved || !self.counted[at];
            }
            all += usize::from(every);
        }
        if !first {
            self.ticks.push((rows.len(), changed, all));
        }
    }

    /// Says how many containers changed in every resource at the calmest tick.
    ///
    /// # Errors
    /// If that was less than half of them: the figures would flatter.
    pub fn judge(&self) -> Result<String> {
        let (rows, changed, all) = self.ticks.iter().min_by_key(|tick| tick.2).context("no ticks with containers")?;
        let each: Vec<String> =
            RESOURCES.iter().zip(changed).map(|((name, _), count)| format!("{name} {count}")).collect();
        let each = each.join(", ");
        ensure!(
            all * 2 >= *rows,
            "the load is too light for figures: at one of {} ticks only {all} of {rows} containers changed in everything that the kernel counts ({each}); is the machine overloaded?",
            self.ticks.len(),
        );
        let uncounted = RESOURCES.iter().zip(self.counted).filter(|(_, counted)| !counted).map(|((name, _), _)| *name);
        let uncounted: Vec<_> = uncounted.collect();
        let but = if uncounted.is_empty() {
            String::new()
        } else {
            format!("; this kernel does not count {} of cgroups", uncounted.join(" and "))
        };
        Ok(format!(
            "at every tick at least {all} of {rows} containers changed in CPU, memory, network and I/O{but}; at a tick a second memory.stat is read anew every 4.5 s, or when the memory in use has moved by 1 MiB"
        ))
    }
}

fn value(row: &Value, name: &str) -> Option<f64> {
    let position = EntityKind::Container.metrics().iter().position(|metric| metric.name == name)?;
    row["values"].get(position)?.as_f64()
}
