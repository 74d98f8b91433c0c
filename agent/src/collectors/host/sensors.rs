//! Temperatures from `/sys/class/hwmon`, or from the thermal zones where there is no hwmon.
//!
//! Source: the kernel's hwmon/sysfs-interface.rst and driver-api/thermal/sysfs-api.rst, in
//! thousandths of a degree. A chip's registers may take milliseconds to answer, so a blocking
//! thread reads them, seldom; a read that does not come back costs that one thread and no other
//! is started. sysinfo's components are not used: they fold sensors of one label into one (two
//! CPU sockets, two drives of a model) and know no other root.

use crate::limits::{SENSOR_REFRESH, SENSORS};
use fleetlight_protocol::samples::{Row, Sample, SensorSample};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::task::JoinHandle;

/// One temperature.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// `chip/label`, as in `coretemp/Package id 0`.
    key: String,
    celsius: f64,
}

/// What was read last, and the read under way.
#[derive(Debug)]
pub struct Sensors {
    sys_root: PathBuf,
    reading: Option<JoinHandle<Vec<Reading>>>,
    began: Option<Instant>,
    known: Vec<Reading>,
    known_at: Option<Instant>,
}

impl Sensors {
    pub fn new(sys_root: &Path) -> Self {
        Self { sys_root: sys_root.to_owned(), reading: None, began: None, known: Vec::new(), known_at: None }
    }

    /// Adds a row for each sensor as last read, and sees to it that they are read again in time.
    pub async fn read(&mut self, now: Instant, rows: &mut Vec<Row>) {
        if let Some(reading) = self.reading.take_if(|reading| reading.is_finished()) {
            self.known = reading.await.unwrap_or_default();
            self.known_at = Some(now);
        }
        let due = self.began.is_none_or(|began| now.duration_since(began) >= SENSOR_REFRESH);
        if due && self.reading.is_none() {
            self.began = Some(now);
            let sys_root = self.sys_root.clone();
            self.reading = Some(tokio::task::spawn_blocking(move || read_all(&sys_root)));
        }
        if self.known_at.is_some_and(|at| now.duration_since(at) < 3 * SENSOR_REFRESH) {
            rows.extend(
                self.known
                    .iter()
                    .map(|known| SensorSample { temperature_celsius: Some(known.celsius) }.row(&*known.key)),
            );
        }
    }
}

/// All sensors under `sys_root`, sorted by key.
fn read_all(sys_root: &Path) -> Vec<Reading> {
    let mut found = read_hwmon(&sys_root.join("class/hwmon"));
    if found.is_empty() {
        found = read_thermal_zones(&sys_root.join("class/thermal"));
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    found.dedup_by(|a, b| a.key == b.key);
    found.truncate(SENSORS);
    found
}

fn read_hwmon(folder: &Path) -> Vec<Reading> {
    let chips: Vec<_> = entries(folder).filter_map(|chip| Some((text(&chip.join("name"))?, chip))).collect();
    let mut same_name = HashMap::<&str, u32>::new();
    for (name, _) in &chips {
        *same_name.entry(name).or_default() += 1;
    }
    let mut found = Vec::new();
    for (name, chip) in &chips {
        // Numbers of hwmon folders change from boot to boot; the device behind them has a name.
        let device = fs::canonicalize(chip.join("device")).ok();
        let device = device.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
        let chip_name = match (same_name.get(name.as_str()), device) {
            (Some(2..), Some(device)) => format!("{name}@{device}"),
            _ => name.clone(),
        };
        found.extend(read_chip(&chip_name, chip));
    }
    found
}

fn read_chip(name: &str, chip: &Path) -> Vec<Reading> {
    let read = |file: PathBuf| {
        let stem = file.file_name()?.to_str()?.strip_suffix("_input")?.to_owned();
        stem.strip_prefix("temp")?.parse::<u32>().ok()?;
        let celsius = celsius(&text(&file)?)?;
        let label = text(&chip.join(format!("{stem}_label"))).unwrap_or(stem);
        Some(Reading { key: format!("{name}/{label}"), celsius })
    };
    entries(chip).filter_map(read).collect()
}

fn read_thermal_zones(folder: &Path) -> Vec<Reading> {
    let read = |zone: PathBuf| {
        let name = zone.file_name()?.to_str().filter(|name| name.starts_with("thermal_zone"))?.to_owned();
        let kind = text(&zone.join("type"))?;
        Some(Reading { key: format!("{kind}/{name}"), celsius: celsius(&text(&zone.join("temp"))?)? })
    };
    entries(folder).filter_map(read).collect()
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// The file's line; none if it is empty or cannot be read, as of a sensor that is switched off.
fn text(file: &Path) -> Option<String> {
    let line = fs::read(file).ok()?;
    let line = String::from_utf8_lossy(&line).trim().to_owned();
    (!line.is_empty()).then_some(line)
}

fn celsius(text: &str) -> Option<f64> {
    text.parse::<i32>().ok().map(|thousandths| f64::from(thousandths) / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sys_with(files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("fleetlight-sensors-{}", uuid::Uuid::now_v7()));
        for (path, content) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("has a folder")).expect("creates");
            fs::write(path, content).expect("writes");
        }
        root
    }

    fn keys(root: &Path) -> Vec<(String, f64)> {
        let found = read_all(root).into_iter().map(|reading| (reading.key, reading.celsius)).collect();
        fs::remove_dir_all(root).expect("removes");
        found
    }

    #[test]
    fn two_chips_of_a_name_stay_apart() {
        let root = sys_with(&[
            ("class/hwmon/hwmon0/name", "nvme\n"),
            ("class/hwmon/hwmon0/temp1_input", "41850\n"),
            ("class/hwmon/hwmon0/temp1_label", "Composite\n"),
            ("class/hwmon/hwmon1/name", "nvme\n"),
            ("class/hwmon/hwmon1/temp1_input", "38000\n"),
            ("class/hwmon/hwmon1/temp1_label", "Composite\n"),
            ("class/hwmon/hwmon2/name", "acpitz\n"),
            ("class/hwmon/hwmon2/temp1_input", "-5000\n"),
            ("class/hwmon/hwmon2/temp2_input", "not connected\n"),
            ("class/hwmon/hwmon2/fan1_input", "1200\n"),
            ("devices/nvme0/x", ""),
            ("devices/nvme1/x", ""),
        ]);
        for number in 0..2 {
            let link = root.join(format!("class/hwmon/hwmon{number}/device"));
            std::os::unix::fs::symlink(root.join(format!("devices/nvme{number}")), link).expect("links");
        }
        let expected = [("acpitz/temp1", -5.0), ("nvme@nvme0/Composite", 41.85), ("nvme@nvme1/Composite", 38.0)];
        assert_eq!(keys(&root), expected.map(|(key, celsius)| (key.to_owned(), celsius)));
    }

    #[test]
    fn thermal_zones_stand_in_where_there_is_no_hwmon() {
        let root = sys_with(&[
            ("class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("class/thermal/thermal_zone0/temp", "52125\n"),
            ("class/thermal/cooling_device0/type", "fan\n"),
        ]);
        assert_eq!(keys(&root), [("cpu-thermal/thermal_zone0".to_owned(), 52.125)]);
    }

    #[tokio::test]
    async fn a_host_without_sensors_has_no_rows() {
        let mut sensors = Sensors::new(Path::new("/nonexistent"));
        let (mut rows, start) = (Vec::new(), Instant::now());
        sensors.read(start, &mut rows).await;
        sensors.read(start + 2 * SENSOR_REFRESH, &mut rows).await;
        assert_eq!(rows, []);
    }
}
