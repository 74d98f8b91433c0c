//! A real controller and real agents as processes, in a folder of their own.

use crate::client::Client;
use anyhow::{Context, Result, bail, ensure};
use fleetlight_controller::postgres::PrivatePostgres;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Password of the admin in tests.
pub const PASSWORD: &str = "correct horse battery staple";

/// A controller with its own Postgres, and whatever agents a test adds. All ends on drop.
#[derive(Debug)]
pub struct System {
    dir: PathBuf,
    controller: Option<Process>,
    pub web: SocketAddr,
    pub session: SocketAddr,
    /// The one-time link that the controller printed.
    pub setup_link: String,
    /// More of the controller's environment, from its next start on.
    pub env: Vec<(String, String)>,
}

/// How to start a [`System`].
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where agents reach the controller; loopback if not set.
    pub address: Option<std::net::IpAddr>,
    /// More lines of the controller's configuration.
    pub extra: String,
    /// More of the controller's environment.
    pub env: Vec<(String, String)>,
}

/// A process of ours: killed on drop, its output kept in a file.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its standard error in `log`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = fs::OpenOptions::new().create(true).append(true).open(log)?;
        let child = command.stdin(Stdio::null()).stderr(file).spawn().with_context(|| format!("{command:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    #[must_use]
    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has written to standard error.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends SIGTERM and waits.
    ///
    /// # Errors
    /// If it does not end within ten seconds.
    pub fn stop(&mut self) -> Result<std::process::ExitStatus> {
        signal(self.pid(), rustix::process::Signal::TERM)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "process {} ignores SIGTERM\n{}", self.pid(), self.log());
            pause();
        }
    }

    /// Kills it, as `kill -9` does.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.stop().is_err() {
            let _ = self.kill();
        }
    }
}

fn signal(pid: u32, signal: rustix::process::Signal) -> Result<()> {
    let pid = rustix::process::Pid::from_raw(pid as i32).context("no such process")?;
    Ok(rustix::process::kill_process(pid, signal)?)
}

#[allow(clippy::disallowed_methods, reason = "a test waits for a process, not for luck")]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// A binary of the workspace, beside this test.
///
/// # Errors
/// If it has not been built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    // A program lies beside ours, a test's one folder deeper.
    let mut beside = this.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    beside
        .find(|path| path.is_file())
        .with_context(|| format!("{name} is not built: run `cargo build --workspace` first"))
}

/// Runs what is added to it as this account and group, without further groups. Needs root.
#[must_use]
pub fn as_account(number: u32) -> Command {
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={number}")).arg(format!("--regid={number}")).args(["--clear-groups", "--"]);
    command
}

/// A port that was free a moment ago, for UDP and TCP.
fn free_port(address: std::net::IpAddr) -> Result<u16> {
    for _ in 0..50 {
        let tcp = TcpListener::bind((address, 0))?;
        let port = tcp.local_addr()?.port();
        if UdpSocket::bind((address, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free on {address}")
}

impl System {
    /// Starts a controller on ports of its own and waits until its page answers.
    ///
    /// # Errors
    /// If it does not start; with its log.
    pub fn start(name: &str, options: &Options) -> Result<Self> {
        // Postgres, which may run as another user, must be able to reach its folder.
        let dir = std::env::temp_dir().join(format!("fl-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir)?;
        let loopback = std::net::IpAddr::from([127, 0, 0, 1]);
        let address = options.address.unwrap_or(loopback);
        let session = SocketAddr::new(address, free_port(address)?);
        let web = SocketAddr::new(loopback, free_port(loopback)?);
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboard-static/dist");
        let config = format!(
            "state_dir = {:?}\nweb_listen = \"{web}\"\nsession_listen = \"{session}\"\nenrol_listen = \"{session}\"\npublic_endpoint = \"{session}\"\ndashboard_dir = {page:?}\n{}",
            dir.join("controller"),
            options.extra,
        );
        fs::write(dir.join("controller.toml"), config)?;
        let (setup_link, env) = (String::new(), options.env.clone());
        let mut system = Self { dir, controller: None, web, session, setup_link, env };
        system.start_controller()?;
        Ok(system)
    }

    /// Starts the controller (again), on the same data.
    ///
    /// # Errors
    /// If it does not start; with its log.
    pub fn start_controller(&mut self) -> Result<()> {
        let mut command = Command::new(binary("fleetlight-controller")?);
        command.args(["run", "--config"]).arg(self.dir.join("controller.toml")).stdout(Stdio::piped());
        command.envs(self.env.clone());
        let mut process = Process::start(&mut command, &self.dir.join("controller.log"))?;
        let output = process.child.stdout.take().context("no standard output")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with("setup link: ") => {
                    self.setup_link = line["setup link: ".len()..].to_owned();
                }
                Ok(line) if line.starts_with("ready: ") => break,
                Ok(_) => {}
                Err(_) => bail!("the controller does not become ready:\n{}", process.log()),
            }
        }
        self.controller = Some(process);
        Ok(())
    }

    /// The controller's process.
    ///
    /// # Errors
    /// If it does not run.
    pub fn controller(&mut self) -> Result<&mut Process> {
        self.controller.as_mut().context("the controller does not run")
    }

    /// How to reach the controller's private Postgres.
    ///
    /// # Errors
    /// If the controller does not run.
    pub fn database_url(&self) -> Result<String> {
        Ok(PrivatePostgres::url_of_running(&self.dir.join("controller/postgres"))?)
    }

    /// The folder that everything lies in.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.web)
    }

    /// Sets the admin's password by the one-time link and logs in.
    ///
    /// # Errors
    /// If the link is refused.
    pub async fn set_up(&self) -> Result<Client> {
        let client = Client::new(&self.origin())?;
        let token = self.setup_link.rsplit('/').next().unwrap_or_default();
        client.post("setup", &serde_json::json!({ "token": token, "password": PASSWORD })).await?;
        Ok(client)
    }

    /// A join token from the controller's command line.
    ///
    /// # Errors
    /// With what it printed.
    pub fn join_token(&self, host: &str) -> Result<String> {
        let mut command = Command::new(binary("fleetlight-controller")?);
        command.args(["join-token", "--host", host, "--config"]).arg(self.dir.join("controller.toml"));
        let output = command.output()?;
        ensure!(output.status.success(), "join-token: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Enrols and starts an agent called `name`, and its executor, unless its configuration names another one.
    ///
    /// # Errors
    /// If enrolment fails; with what it printed.
    pub fn agent(&self, name: &str, options: &AgentOptions) -> Result<Agent> {
        let token = self.join_token(name)?;
        // Paths of sockets are short.
        let executor = self.dir.join(format!("{name}-executor"));
        let mut config = format!("state_dir = {:?}\n", self.dir.join(name));
        let has_own = options.config.contains("executor_socket");
        if !has_own {
            for (key, file) in
                [("executor_socket", "socket"), ("executor_state_dir", "state"), ("policy_file", "policy.toml")]
            {
                let _ = writeln!(config, "{key} = {:?}", executor.join(file));
            }
        }
        if let Some(socket) = &options.docker {
            let _ = writeln!(config, "docker_socket = {socket:?}");
        }
        let _ = writeln!(config, "{}", options.config);
        let file = self.dir.join(format!("{name}.toml"));
        fs::write(&file, config)?;
        if let Some(account) = options.account {
            fs::create_dir(self.dir.join(name))?;
            std::os::unix::fs::chown(self.dir.join(name), Some(account), Some(account))?;
        }
        let log = self.dir.join(format!("{name}.log"));
        let agent = Agent {
            file,
            log,
            options: options.clone(),
            process: None,
            executor: Executor { folder: executor, process: None },
        };
        let output = agent.command("enrol")?.args(["--token", &token]).output()?;
        ensure!(output.status.success(), "enrol: {}", String::from_utf8_lossy(&output.stderr));
        if let Some(endpoint) = options.session_endpoint {
            let file = self.dir.join(name).join("identity.json");
            let mut identity: serde_json::Value = serde_json::from_slice(&fs::read(&file)?)?;
            identity["session_endpoint"] = endpoint.to_string().into();
            fs::write(&file, identity.to_string())?;
        }
        let mut agent = agent;
        if !has_own {
            agent.start_executor(&[])?;
        }
        agent.start()?;
        Ok(agent)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if let Some(mut controller) = self.controller.take() {
            let _ = controller.stop();
            if failed {
                eprintln!("controller's log:\n{}", controller.log());
            }
        }
        if !failed {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// How to start an [`Agent`].
#[derive(Debug, Clone, Default)]
pub struct AgentOptions {
    /// Lines of its configuration.
    pub config: String,
    /// The Docker socket that its executor opens; the machine's own if not set.
    pub docker: Option<PathBuf>,
    /// Number of the account and group that it runs as, without further groups; the test's own if not set.
    pub account: Option<u32>,
    /// Network namespace to run in; the executor has no network to speak of.
    pub netns: Option<String>,
    pub env: Vec<(String, String)>,
    /// Where it finds the controller's sessions, when not where the controller says: a relay.
    pub session_endpoint: Option<SocketAddr>,
}

/// An enrolled agent, and the executor beside it.
#[derive(Debug)]
pub struct Agent {
    file: PathBuf,
    log: PathBuf,
    options: AgentOptions,
    process: Option<Process>,
    executor: Executor,
}

#[derive(Debug)]
struct Executor {
    /// Of its socket, its state and its policy.
    folder: PathBuf,
    process: Option<Process>,
}

impl Agent {
    fn command(&self, verb: &str) -> Result<Command> {
        let program = binary("fleetlight-agent")?;
        let mut command = match (&self.options.netns, self.options.account) {
            (Some(namespace), _) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(program);
                command
            }
            (None, Some(account)) => {
                let mut command = as_account(account);
                command.arg(program);
                command
            }
            (None, None) => Command::new(program),
        };
        command.arg(verb).arg("--config").arg(&self.file).envs(self.options.env.clone());
        Ok(command)
    }

    /// Starts it (again), with the same identity.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&mut self) -> Result<()> {
        self.process = Some(Process::start(&mut self.command("run")?, &self.log)?);
        Ok(())
    }

    /// Starts it again with more in its environment, this once.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_with(&mut self, env: &[(String, String)]) -> Result<()> {
        let mut command = self.command("run")?;
        self.process = Some(Process::start(command.envs(env.iter().cloned()), &self.log)?);
        Ok(())
    }

    /// Starts its executor (again), with this in its environment, and waits until it listens.
    ///
    /// # Errors
    /// If it does not; with its log.
    pub fn start_executor(&mut self, env: &[(String, String)]) -> Result<()> {
        fs::create_dir_all(&self.executor.folder)?;
        let mut command = Command::new(binary("fleetlight-agent")?);
        command.arg("executor").arg("--config").arg(&self.file).envs(env.iter().cloned());
        let mut process = Process::start(&mut command, &self.executor.folder.join("log"))?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(self.executor_folder().join("socket")).is_err() {
            ensure!(Instant::now() < deadline && !process.ended(), "the executor does not listen:\n{}", process.log());
            pause();
        }
        self.executor.process = Some(process);
        Ok(())
    }

    /// What `check-config` says of its configuration, and its exit status.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn check_config(&self) -> Result<String> {
        let output = self.command("check-config")?.output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok(format!("{}{}", String::from_utf8_lossy(&said), output.status))
    }

    /// Its main process.
    ///
    /// # Errors
    /// If it does not run.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the agent does not run")
    }

    /// Its executor.
    ///
    /// # Errors
    /// If it does not run.
    pub fn executor(&mut self) -> Result<&mut Process> {
        self.executor.process.as_mut().context("the executor does not run")
    }

    /// Where the executor's `socket`, `state`, `policy.toml` and `log` lie.
    #[must_use]
    pub fn executor_folder(&self) -> &Path {
        &self.executor.folder
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.process.take());
        let executor = self.executor.process.take().map(|process| process.log());
        if std::thread::panicking() {
            eprintln!("agent's log:\n{}\nexecutor's log:\n{}", self.log(), executor.unwrap_or_default());
        }
    }
}
