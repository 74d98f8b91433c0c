//! Pull: the newest image of a container's name. The container goes on with the one that it was made of.

use super::words::{said, text};
use crate::docker::{Docker, DockerError, Fetching, ImageId, ImageName, Inspection};
use crate::executor::actions::{Finding, Refused, Task};
use crate::limits::{FETCH_LONGEST, FETCH_SILENCE};
use fleetlight_protocol::command::{Outcome, OutputStream};
use futures_util::StreamExt;
use std::pin::pin;
use tokio::time::{Instant, timeout_at};

/// What a registry can be asked for.
///
/// # Errors
/// The container's image is named by its digest or its id.
pub fn image(container: &Inspection) -> Result<ImageName, Refused> {
    ImageName::parse(&container.image).ok_or_else(|| {
        Refused::new(format!(
            "{} was made of \"{}\", which names one image for ever: there is no newer one to pull",
            text(&container.name),
            text(&container.image)
        ))
    })
}

pub async fn run(image: &ImageName, container: &Inspection, docker: &Docker, task: &Task) -> Finding {
    let finding = |outcome, observed, reason| Finding {
        outcome,
        asked: format!("the newest {image} is on this host"),
        observed,
        reason,
        exit_code: None,
    };
    let before = docker.image_named(image).await.ok().flatten();
    let kept = || format!("{image} is {}", named(before.as_ref()));
    match fetch(image, docker, task).await {
        Fetched::All => {}
        Fetched::Cancelled => {
            let reason = "cancelled: what had come of it stays with Docker until it is pruned or asked for again";
            return finding(Outcome::Cancelled, kept(), Some(reason.to_owned()));
        }
        Fetched::Failed(words) => return finding(Outcome::Failed, kept(), Some(words)),
    }
    match docker.image_named(image).await {
        Ok(Some(now)) => finding(Outcome::Verified, told(image, before.as_ref(), &now, container), None),
        Ok(None) => {
            let reason = "Docker says that it was fetched, and has no image of this name".to_owned();
            finding(Outcome::Unverified, kept(), Some(reason))
        }
        Err(error) => finding(Outcome::Unverified, kept(), Some(said(&error.to_string()))),
    }
}

enum Fetched {
    All,
    Cancelled,
    Failed(String),
}

async fn fetch(image: &ImageName, docker: &Docker, task: &Task) -> Fetched {
    let mut news = pin!(docker.fetch(image));
    let longest = Instant::now() + FETCH_LONGEST;
    loop {
        let by = longest.min(Instant::now() + FETCH_SILENCE);
        let next = tokio::select! {
            next = timeout_at(by, news.next()) => next,
            () = task.cancel.cancelled() => return Fetched::Cancelled,
        };
        match next {
            Ok(Some(Ok(Fetching::Line(line)))) => {
                task.report.output(OutputStream::Stdout, format!("{line}\n").as_bytes());
            }
            Ok(Some(Ok(Fetching::Progress))) => {}
            Ok(Some(Err(error))) => return Fetched::Failed(why(&error)),
            Ok(None) => return Fetched::All,
            Err(_) if Instant::now() >= longest => {
                return Fetched::Failed(format!("it was not there within {} min", FETCH_LONGEST.as_secs() / 60));
            }
            Err(_) => return Fetched::Failed(format!("nothing came for {} s", FETCH_SILENCE.as_secs())),
        }
    }
}

fn why(error: &DockerError) -> String {
    said(&error.to_string())
}

fn told(image: &ImageName, before: Option<&ImageId>, now: &ImageId, container: &Inspection) -> String {
    let news = match before {
        Some(before) if before == now => format!("{image} is still {}", named(Some(now))),
        _ => format!("{image} was {} and is {}", named(before), named(Some(now))),
    };
    let old = container.image_id.as_ref().filter(|own| *own != now);
    match old {
        None => news,
        Some(own) => {
            format!("{news}; {} goes on with {} until it is recreated", text(&container.name), named(Some(own)))
        }
    }
}

/// An image as people compare it: the first digits of its id.
fn named(image: Option<&ImageId>) -> String {
    const DIGITS: usize = "sha256:".len() + 12;
    image.map_or_else(|| "not here".to_owned(), |id| id.as_str()[..DIGITS].to_owned())
}
