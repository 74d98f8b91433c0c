//! The API as a browser uses it: session cookie, JSON, server-sent events.

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use reqwest::cookie::{CookieStore, Jar};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A logged-in browser, without its page.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    cookies: Arc<Jar>,
    origin: String,
}

impl Client {
    /// A browser that has not logged in yet.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn new(origin: &str) -> Result<Self> {
        let cookies = Arc::new(Jar::default());
        let http = reqwest::Client::builder().cookie_provider(Arc::clone(&cookies)).build()?;
        Ok(Self { http, cookies, origin: origin.to_owned() })
    }

    /// The session's cookie, for what is no HTTP request.
    ///
    /// # Errors
    /// Nobody is logged in.
    pub fn cookie(&self) -> Result<String> {
        let cookies = self.cookies.cookies(&self.origin.parse()?).context("nobody is logged in")?;
        Ok(cookies.to_str()?.to_owned())
    }

    fn url(&self, path: &str) -> String {
        format!("{}/admin/api/{path}", self.origin)
    }

    /// # Errors
    /// Anything but a 2xx, with the answer's text.
    pub async fn get(&self, path: &str) -> Result<Value> {
        Self::json(self.http.get(self.url(path)).send().await?, path).await
    }

    /// # Errors
    /// Anything but a 2xx, with the answer's text.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.http.post(self.url(path)).header("Origin", &self.origin).json(body);
        Self::json(request.send().await?, path).await
    }

    async fn json(response: reqwest::Response, path: &str) -> Result<Value> {
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{path} answered {status}: {text}");
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{path} answered {text:?}"))
    }

    /// Opens the event stream; `host` chooses one host's details.
    ///
    /// # Errors
    /// If the stream is refused.
    pub async fn stream(&self, host: Option<i64>) -> Result<Stream> {
        self.events(&host.map_or_else(|| "stream".to_owned(), |id| format!("stream?host={id}"))).await
    }

    /// Opens any stream of server-sent events.
    ///
    /// # Errors
    /// If the stream is refused, with the answer's text.
    pub async fn events(&self, path: &str) -> Result<Stream> {
        let response = self.http.get(self.url(path)).send().await?;
        let status = response.status();
        if !status.is_success() {
            bail!("{path} answered {status}: {}", response.text().await?);
        }
        let bytes = response.bytes_stream().map(|chunk| chunk.map(|bytes| bytes.to_vec())).boxed();
        Ok(Stream { bytes, buffer: Vec::new(), searched: 0, ready: VecDeque::new() })
    }

    /// Asks `path` until `accept` gives something.
    ///
    /// # Errors
    /// After `within`, with the last answer.
    pub async fn wait<T>(
        &self,
        path: &str,
        within: Duration,
        mut accept: impl FnMut(&Value) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + within;
        loop {
            let answer = self.get(path).await;
            if let Some(found) = answer.as_ref().ok().and_then(&mut accept) {
                return Ok(found);
            }
            if Instant::now() > deadline {
                bail!("{path} did not become as expected within {within:?}; last: {answer:#?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A stream of server-sent events.
pub struct Stream {
    bytes: futures_util::stream::BoxStream<'static, reqwest::Result<Vec<u8>>>,
    buffer: Vec<u8>,
    /// So far no event ends in the buffer.
    searched: usize,
    ready: VecDeque<(String, Value)>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl Stream {
    /// The next event: name and data.
    ///
    /// # Errors
    /// When the stream ends or breaks.
    pub async fn next(&mut self) -> Result<(String, Value)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let Some(chunk) = self.bytes.next().await else { bail!("the event stream ended") };
            self.buffer.extend_from_slice(&chunk?);
            while let Some(end) = self.buffer[self.searched..].windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..self.searched + end + 2).collect();
                self.searched = 0;
                if let Some(event) = parse(&String::from_utf8_lossy(&block)) {
                    self.ready.push_back(event);
                }
            }
            self.searched = self.buffer.len().saturating_sub(1);
        }
    }

    /// Reads on until `accept` gives something.
    ///
    /// # Errors
    /// After `within`, or when the stream ends.
    pub async fn wait<T>(&mut self, within: Duration, mut accept: impl FnMut(&str, &Value) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + within;
        loop {
            let next = timeout_at(deadline, self.next()).await;
            let (name, data) = next.with_context(|| format!("no such event within {within:?}"))??;
            if let Some(found) = accept(&name, &data) {
                return Ok(found);
            }
        }
    }
}

fn parse(block: &str) -> Option<(String, Value)> {
    let (mut name, mut data) = ("message", String::new());
    for line in block.lines() {
        match line.split_once(':').map(|(field, value)| (field, value.strip_prefix(' ').unwrap_or(value))) {
            Some(("event", value)) => name = value,
            Some(("data", value)) => data.push_str(value),
            _ => {}
        }
    }
    Some((name.to_owned(), serde_json::from_str(&data).ok()?))
}
