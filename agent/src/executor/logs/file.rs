//! A file that the host declares as a log (`log_files`), by a thread of its own: it may lie where reading hangs.

use super::follow::Follower;
use super::line::Raw;
use super::{End, Source};
use crate::limits::{LOG_FILE_LOOK, LOG_FILES};
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use tokio::runtime::Handle;

/// Tells the file under a declared name.
pub async fn tell(name: &str, source: Source) {
    let path = match find(name, &source).await {
        Ok(path) => path,
        Err(end) => return source.conclude(Err(end)),
    };
    let Ok(place) = Arc::clone(&source.executor.log_room().files).try_acquire_owned() else {
        let words = format!("{LOG_FILES} files are being read on this host already: close a reader");
        return source.conclude(Err(End::Problem(words)));
    };
    let runtime = Handle::current();
    let thread = std::thread::Builder::new().name("log-file".into());
    let told = thread.spawn(move || {
        let mut source = source;
        let told = Telling { path: &path, follower: Follower::new(path.clone()), runtime, said: None }.run(&mut source);
        source.conclude(told);
        drop(place);
    });
    if let Err(error) = told {
        tracing::warn!(%error, "no thread for a log file");
    }
}

async fn find(name: &str, source: &Source) -> Result<std::path::PathBuf, End> {
    let declared = &source.executor.config().log_files;
    let unknown = || format!("this host declares no log file {name:?}: the setting log_files of its agent.toml does");
    let (name, path) = declared.get_key_value(name).ok_or_else(unknown)?;
    source.allow(name).await?;
    Ok(path.clone())
}

struct Telling<'a> {
    path: &'a Path,
    follower: Follower,
    runtime: Handle,
    /// The last trouble that was told; the same one is not told again.
    said: Option<String>,
}

impl Telling<'_> {
    fn run(mut self, source: &mut Source) -> Result<(), End> {
        let (lines, follow, since_ms) = (source.wish.lines, source.wish.follow, source.wish.since_ms);
        let mut past_ends = match self.follower.begin(lines) {
            Ok((end, metadata)) => {
                let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                let is_older = changed.zip(since_ms).is_some_and(|(at, since)| (at.as_millis() as i64) < since);
                // Its lines have no times: at least none is younger than the file.
                if is_older {
                    self.follower.begin(0).map_err(|error| self.words(&error))?;
                }
                Some(end)
            }
            Err(error) => {
                self.trouble(&error, source);
                source.outlet.present();
                None
            }
        };
        loop {
            let mut news = Vec::new();
            let dresser = &mut source.dresser;
            let mut take = |bytes: &[u8], is_cut| {
                news.extend(dresser.dress(Raw { at_ms: None, priority: None, bytes, is_cut }));
            };
            let looked = self.follower.look(&mut take);
            let is_past = past_ends.take_if(|end| self.follower.at() >= *end || !matches!(looked, Ok(true))).is_some();
            if is_past && !follow {
                self.follower.end(take);
            }
            self.runtime.block_on(source.outlet.lines(news))?;
            if is_past {
                source.outlet.present();
            }
            if past_ends.is_none() && !follow {
                return Ok(());
            }
            match looked {
                Ok(true) => continue,
                Ok(false) => self.said = None,
                Err(error) => self.trouble(&error, source),
            }
            if source.outlet.is_gone() {
                return Err(End::Gone);
            }
            std::thread::park_timeout(LOG_FILE_LOOK);
        }
    }

    fn trouble(&mut self, error: &Error, source: &Source) {
        let words = self.words(error);
        if self.said.as_ref() != Some(&words) {
            source.outlet.problem(words.clone());
            self.said = Some(words);
        }
    }

    fn words(&self, error: &Error) -> String {
        let place = self.path.display();
        match error.kind() {
            _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                format!("{place} is a link, which somebody may turn elsewhere: declare the file that it leads to")
            }
            ErrorKind::NotFound => format!("{place} does not exist; its lines come when it does"),
            ErrorKind::PermissionDenied => format!("the executor may not read {place}"),
            _ => format!("{place} cannot be read: {error}"),
        }
    }
}
