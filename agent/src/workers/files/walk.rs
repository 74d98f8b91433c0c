//! Walks a tree without following links. Blocks.

use super::messages::{Compared, Counted};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

pub fn count(path: &Path, since_ms: Option<i64>, most: u64) -> Result<Counted, String> {
    let mut counted = Counted::default();
    walk(path, most, |_, found| {
        if since_ms.is_none_or(|since| changed_ms(found) >= since) {
            counted.add(found);
        }
    })?;
    Ok(counted)
}

pub fn compare(source: &Path, destination: &Path, until_ms: i64, most: u64) -> Result<Compared, String> {
    let mut compared = Compared::default();
    // A destination that is away is an error, not a hundred missing files.
    fs::metadata(destination).map_err(|error| words(destination, &error))?;
    walk(source, most, |place, found| {
        if changed_ms(found) >= until_ms {
            return;
        }
        compared.source.add(found);
        // `join` of an empty path would end with a slash.
        let there = if place.as_os_str().is_empty() { destination.to_owned() } else { destination.join(place) };
        match fs::symlink_metadata(there) {
            Ok(copy) if copy.is_file() && copy.len() == found.len() => compared.destination.add(&copy),
            _ => {
                compared.missing.get_or_insert_with(|| place.to_string_lossy().into_owned());
            }
        }
    })?;
    Ok(compared)
}

/// Calls `each` for every plain file with its place below `root`, which is empty for a root that is one itself.
fn walk(root: &Path, most: u64, mut each: impl FnMut(&Path, &Metadata)) -> Result<(), String> {
    let found = fs::metadata(root).map_err(|error| words(root, &error))?;
    if found.is_file() {
        each(Path::new(""), &found);
        return Ok(());
    }
    let mut left = most;
    let mut folders = vec![PathBuf::new()];
    while let Some(place) = folders.pop() {
        let folder = root.join(&place);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound && !place.as_os_str().is_empty() => continue,
            entries => entries.map_err(|error| words(&folder, &error))?,
        };
        for entry in entries {
            let entry = entry.map_err(|error| words(&folder, &error))?;
            left = left.checked_sub(1).ok_or_else(|| format!("{} holds more than {most} entries", root.display()))?;
            let place = place.join(entry.file_name());
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(place),
                Ok(found) if found.is_file() => each(&place, &found),
                Ok(_) => {}
                // Gone since its folder was read.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(words(&root.join(place), &error)),
            }
        }
    }
    Ok(())
}

impl Counted {
    fn add(&mut self, found: &Metadata) {
        self.files += 1;
        self.bytes += found.len();
    }
}

fn changed_ms(found: &Metadata) -> i64 {
    let changed = found.modified().unwrap_or(UNIX_EPOCH);
    changed.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn words(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    const MANY: u64 = 1_000;
    const LATER: i64 = i64::MAX;

    struct Trees(PathBuf);

    impl Trees {
        /// `source` with 100 files of 10 bytes in ten folders, and an empty `copy`.
        fn new() -> Self {
            let trees = Self(std::env::temp_dir().join(format!("fleetlight-walk-{}", uuid::Uuid::new_v4())));
            for number in 0..100 {
                trees.write(&format!("source/{}/{number}", number / 10), "0123456789");
            }
            fs::create_dir(trees.at("copy")).expect("a folder");
            trees
        }

        fn at(&self, place: &str) -> PathBuf {
            self.0.join(place)
        }

        fn write(&self, place: &str, text: &str) {
            let path = self.at(place);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("writes");
        }

        fn copy(&self) {
            for number in 0..100 {
                self.write(&format!("copy/{}/{number}", number / 10), "0123456789");
            }
        }

        fn compare(&self) -> Compared {
            compare(&self.at("source"), &self.at("copy"), LATER, MANY).expect("compares")
        }
    }

    impl Drop for Trees {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn files_count_with_their_bytes_and_links_do_not() {
        let trees = Trees::new();
        symlink("/etc", trees.at("source/link")).expect("a link");
        assert_eq!(count(&trees.at("source"), None, MANY), Ok(Counted { files: 100, bytes: 1_000 }));
        assert_eq!(count(&trees.at("source/0/1"), None, MANY), Ok(Counted { files: 1, bytes: 10 }));
        assert_eq!(count(&trees.at("copy"), None, MANY), Ok(Counted::default()));
        assert!(count(&trees.at("none"), None, MANY).expect_err("is not there").contains("none: No such file"));
        assert!(count(&trees.at("source"), None, 100).expect_err("100 files, 10 folders").contains("more than 100"));
    }

    #[test]
    fn only_files_that_are_new_enough_count() {
        let trees = Trees::new();
        let old = SystemTime::now() - Duration::from_secs(7_200);
        fs::File::options().write(true).open(trees.at("source/0/1")).expect("opens").set_modified(old).expect("ages");
        let hour_ago = SystemTime::now() - Duration::from_secs(3_600);
        let since = hour_ago.duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
        assert_eq!(count(&trees.at("source"), Some(since), MANY).expect("counts").files, 99);
    }

    #[test]
    fn ninety_nine_of_a_hundred_are_not_all() {
        let trees = Trees::new();
        trees.copy();
        assert_eq!(trees.compare().missing, None);
        fs::remove_file(trees.at("copy/4/42")).expect("removes");
        let compared = trees.compare();
        assert_eq!((compared.source.files, compared.destination.files), (100, 99));
        assert_eq!((compared.source.bytes, compared.destination.bytes), (1_000, 990));
        assert_eq!(compared.missing.as_deref(), Some("4/42"));
        // A copy that was cut short, and a link in its place, are no copies.
        trees.write("copy/4/42", "01234");
        assert_eq!(trees.compare().destination.files, 99);
        fs::remove_file(trees.at("copy/4/42")).expect("removes");
        symlink(trees.at("source/4/42"), trees.at("copy/4/42")).expect("a link");
        assert_eq!(trees.compare().destination.files, 99);
    }

    #[test]
    fn what_came_later_is_not_asked_for_and_a_destination_that_is_away_is_an_error() {
        let trees = Trees::new();
        let compared = compare(&trees.at("source"), &trees.at("copy"), 0, MANY).expect("compares");
        assert_eq!(compared, Compared::default());
        assert!(compare(&trees.at("source"), &trees.at("none"), LATER, MANY).is_err());
    }

    #[test]
    fn single_files_compare() {
        let trees = Trees::new();
        let (source, copy) = (trees.at("source/0/1"), trees.at("source/0/2"));
        assert_eq!(compare(&source, &copy, LATER, MANY).expect("compares").missing, None);
    }
}
