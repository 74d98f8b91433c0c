//! A container's log, over its stops and starts.

use super::line::Raw;
use super::{End, Source};
use crate::docker::{ContainerId, Docker, DockerError, LogFrames, LogsQuery};
use crate::limits::LOG_CONTAINER_LOOK;
use crate::tick::wall_ms;
use fleetlight_protocol::document::ContainerState;
use fleetlight_protocol::limits::LOG_PAST_LINES;
use tokio::time::sleep;

/// Tells the container's log until it is removed.
pub async fn tell(id: &str, source: &mut Source) -> Result<(), End> {
    let (docker, id) = find(id, source).await?;
    let (lines, follow) = (source.wish.lines, source.wish.follow);
    let since_ns = source.wish.since_ms.map(|since| since.saturating_mul(1_000_000));
    let mut log = Log { docker, id, seen_ns: wall_ms().saturating_mul(1_000_000), past_ends_ns: None };
    if lines > 0 {
        log.past_ends_ns = log.newest().await?.filter(|newest| since_ns.is_none_or(|since| *newest >= since));
    }
    if log.past_ends_ns.is_none() {
        source.outlet.present();
        if !follow {
            return Ok(());
        }
    }
    log.read(LogsQuery { tail: Some(lines), since_ns, follow }, source).await?;
    if !follow {
        return Ok(());
    }
    loop {
        log.next_start().await?;
        // Its log may be long: its end is read, as far as a reader's past would go.
        let query = LogsQuery { tail: Some(LOG_PAST_LINES), since_ns: Some(log.seen_ns + 1), follow };
        log.read(query, source).await?;
    }
}

/// The host's own container of this id, if it may be read.
async fn find(id: &str, source: &Source) -> Result<(Docker, ContainerId), End> {
    let unknown = || format!("there is no container {id} on this host");
    let id = ContainerId::parse(id).ok_or_else(unknown)?;
    let docker = source.executor.docker().await.map_err(words)?;
    let list = docker.list().await.map_err(words)?;
    let found = list.containers.into_iter().find(|container| container.id == id).ok_or_else(unknown)?;
    source.allow(&found.name).await?;
    Ok((docker, found.id))
}

struct Log {
    docker: Docker,
    id: ContainerId,
    /// Up to here the log has been told.
    seen_ns: i64,
    /// Time of the last line that is past.
    past_ends_ns: Option<i64>,
}

impl Log {
    /// Time of the last line.
    async fn newest(&self) -> Result<Option<i64>, End> {
        let query = LogsQuery { tail: Some(1), ..LogsQuery::default() };
        let mut log = self.docker.logs(&self.id, query).await.map_err(words)?;
        let mut frames = LogFrames::default();
        while let Some(bytes) = log.next().await.map_err(words)? {
            frames.push(&bytes, &mut |_, _, _| {});
        }
        Ok(frames.newest_ns())
    }

    /// Tells a part of the log until it ends: with the container's run, when followed.
    async fn read(&mut self, query: LogsQuery, source: &mut Source) -> Result<(), End> {
        let mut log = self.docker.logs(&self.id, query).await.map_err(words)?;
        let mut frames = LogFrames::default();
        loop {
            let bytes = log.next().await.map_err(words)?;
            let (mut lines, dresser) = (Vec::new(), &mut source.dresser);
            let mut take = |at_ns: Option<i64>, bytes: &[u8], is_cut| {
                let at_ms = at_ns.map(|at| at.div_euclid(1_000_000));
                lines.extend(dresser.dress(Raw { at_ms, priority: None, bytes, is_cut }));
            };
            match &bytes {
                Some(bytes) => frames.push(bytes, &mut take),
                None => frames.end(&mut take),
            }
            source.outlet.lines(lines).await?;
            self.seen_ns = frames.newest_ns().map_or(self.seen_ns, |newest| newest.max(self.seen_ns));
            if self.past_ends_ns.take_if(|ends| bytes.is_none() || frames.newest_ns() >= Some(*ends)).is_some() {
                source.outlet.present();
            }
            if bytes.is_none() {
                return Ok(());
            }
        }
    }

    /// Waits until the container runs again.
    async fn next_start(&self) -> Result<(), End> {
        let mut ended = None;
        loop {
            let found = self.docker.inspect(&self.id).await.map_err(words)?;
            let before = ended.replace(found.started_ms);
            if before.is_some_and(|started_ms| started_ms != found.started_ms || found.state == ContainerState::Running)
            {
                return Ok(());
            }
            sleep(LOG_CONTAINER_LOOK).await;
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn words(error: DockerError) -> End {
    End::Problem(match error {
        DockerError::Gone => "the container has been removed".into(),
        error => error.to_string(),
    })
}
