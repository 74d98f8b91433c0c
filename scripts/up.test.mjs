// `make up` as a newcomer meets it: a page with this machine's numbers, data that stays, an end that is clean.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { createServer } from "node:net";
import { cpus, totalmem } from "node:os";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

const UP = new URL("up.sh", import.meta.url).pathname;
const DOWN = new URL("down.sh", import.meta.url).pathname;
const CLONE = new URL("..", import.meta.url).pathname;
// The first start may have to build.
const START_MS = 900_000;
const STOP_MS = 45_000;
const ANSWER_MS = 10_000;
const ONLINE_MS = 30_000;
const PASSWORD = "correct horse battery staple";

const state = mkdtempSync("/var/tmp/fleetlight-up-");
let environment;
let running;

before(async () => {
  // Root's Postgres steps down to another account, which must get in.
  await chmod(state, 0o711);
  const [port, session] = [await freePort(), await freePort()];
  environment = { ...process.env, STATE: state, PORT: String(port), SESSION_PORT: String(session), ADDRESS: "" };
});

after(async () => {
  if (running?.exitCode === null && running.signalCode === null) await stop(running, "SIGINT");
  rmSync(state, { recursive: true, force: true });
});

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts `make up`'s script and waits until it has told everything. */
async function up() {
  running = spawn(UP, { env: environment, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let said = "";
  const told = new Promise((resolve, reject) => {
    for (const stream of [running.stdout, running.stderr]) {
      stream.on("data", (bytes) => {
        said += bytes;
        if (said.includes("stop: Ctrl-C")) resolve(said);
      });
    }
    running.on("exit", (code) => reject(new Error(`ended with ${code}:\n${said}`)));
  });
  return { process: running, said: await within(told, START_MS, () => said), text: () => said };
}

async function within(promise, milliseconds, context) {
  const late = pause(milliseconds, undefined, { ref: false }).then(() => {
    throw new Error(`nothing within ${milliseconds} ms: ${context()}`);
  });
  return await Promise.race([promise, late]);
}

/** Sends a signal to the whole group, as a terminal does, and waits for the end. */
async function stop(child, signal) {
  const exit = new Promise((resolve) => child.on("exit", (code) => resolve(code)));
  process.kill(-child.pid, signal);
  return await within(exit, STOP_MS, () => `process ${child.pid} goes on after ${signal}`);
}

/** Processes whose command line names our state folder. */
function processes(part = state) {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(part);
    } catch {
      return false; // It ended meanwhile.
    }
  });
}

async function eventually(what, milliseconds, ask) {
  const deadline = Date.now() + milliseconds;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    assert.ok(Date.now() < deadline, `${what}: not within ${milliseconds} ms`);
    await pause(100);
  }
}

/** A browser without its page: keeps the session cookie. */
function client() {
  const origin = `http://127.0.0.1:${environment.PORT}`;
  let cookie = "";
  return async (path, body) => {
    const headers = { origin, cookie, ...(body && { "content-type": "application/json" }) };
    const method = body ? "POST" : "GET";
    const signal = AbortSignal.timeout(ANSWER_MS);
    const response = await fetch(origin + path, { method, headers, signal, body: body && JSON.stringify(body) });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path} answered ${response.status}: ${text}`);
    cookie = response.headers.get("set-cookie")?.split(";")[0] ?? cookie;
    return response.headers.get("content-type")?.startsWith("application/json") ? JSON.parse(text) : text;
  };
}

const onlineHosts = (browse) => async () => {
  const hosts = await browse("/admin/api/hosts");
  return hosts.some((host) => host.state === "online" && host.summary.cpu_count > 0) && hosts;
};

let hostId;

test("leads from nothing to a page with this machine's numbers", async () => {
  const { said } = await up();
  const token = /#\/setup\/(\S+)/.exec(said)?.[1];
  assert.ok(token, `no one-time link in:\n${said}`);
  const browse = client();
  assert.match(await browse("/"), /<html/);
  await browse("/admin/api/setup", { token, password: PASSWORD });
  const [host, ...others] = await eventually("this machine online", ONLINE_MS, onlineHosts(browse));
  assert.deepEqual(others, []);
  assert.equal(host.summary.cpu_count, cpus().length);
  assert.ok(Math.abs(host.summary.memory_total_bytes / totalmem() - 1) < 0.01, "memory as the kernel says");
  hostId = host.id;
});

test("refuses a second one beside it, and a port that is taken, and says what to do", () => {
  const refused = (more) => spawnSync(UP, { env: { ...environment, ...more }, encoding: "utf8" });
  const twice = refused({});
  assert.equal(twice.status, 1);
  assert.match(twice.stderr, /already runs here \(process \d+\); stop it with: make down/);
  const elsewhere = `${state}/other`;
  const taken = refused({ STATE: elsewhere });
  assert.equal(taken.status, 1);
  assert.match(taken.stderr, new RegExp(`TCP port ${environment.PORT} is taken.* make up PORT=`));
  for (const bad of ["abc", "0", "65536"]) {
    const { stderr } = refused({ STATE: elsewhere, PORT: bad });
    assert.match(stderr, new RegExp(`PORT=${bad} is no port; allowed: 1 to 65535`));
  }
});

/** Runs a command of the Makefile. */
const make = (...words) => spawnSync("make", ["-C", CLONE, ...words], { env: environment, encoding: "utf8" });

test("make backup copies what there is while it runs; make restore touches nothing then", () => {
  const saved = make("backup", `TO=${state}/saved`);
  assert.equal(saved.status, 0, saved.stderr);
  assert.match(make("restore").stderr, /make restore FROM=/);
  assert.match(make("restore", `FROM=${state}/saved`).stderr, /a controller \(process \d+\) uses .*: stop it first/);
});

test("Ctrl-C stops all of it", async () => {
  assert.equal(await stop(running, "SIGINT"), 0);
  assert.deepEqual(processes(), []);
});

test("starting again, with another port for agents, keeps the data; make down stops it from elsewhere", async () => {
  environment.SESSION_PORT = String(await freePort());
  const { said, process: child } = await up();
  assert.doesNotMatch(said, /setup/);
  const browse = client();
  await browse("/admin/api/login", { name: "admin", password: PASSWORD });
  const hosts = await eventually("this machine online again", ONLINE_MS, onlineHosts(browse));
  assert.deepEqual(hosts.map((host) => host.id), [hostId]);
  const exit = new Promise((resolve) => child.on("exit", resolve));
  const down = spawnSync(DOWN, { env: environment, encoding: "utf8" });
  assert.equal(down.status, 0, down.stderr);
  assert.equal(await within(exit, STOP_MS, () => "make down"), 0);
  assert.deepEqual(processes(), []);
});

for (const [name, verb] of [["agent", "run"], ["executor", "executor"]]) {
  test(`when the ${name} ends, it says so, stops the rest and fails`, async () => {
    const { process: child, text } = await up();
    const exit = new Promise((resolve) => child.on("exit", resolve));
    const found = () => processes(`fleetlight-agent\0${verb}\0--config\0${state}/agent.toml`);
    await eventually(`the ${name}'s process`, ONLINE_MS, () => found().length > 0);
    for (const pid of found()) process.kill(Number(pid), "SIGKILL");
    assert.equal(await within(exit, STOP_MS, text), 1);
    assert.match(text(), new RegExp(`the ${name} ended with exit code 137`));
    assert.deepEqual(processes(), []);
  });
}

test("killed outright, it leaves no process behind", async () => {
  const { process: child } = await up();
  process.kill(child.pid, "SIGKILL");
  await eventually("all processes gone", STOP_MS, () => processes().length === 0);
  assert.ok(existsSync(`${state}/controller`), "the data stays");
});

test("make restore puts back what make backup saved", async () => {
  rmSync(`${state}/controller`, { recursive: true });
  const restored = make("restore", `FROM=${state}/saved`);
  assert.equal(restored.status, 0, restored.stderr);
  const { process: child } = await up();
  const browse = client();
  await browse("/admin/api/login", { name: "admin", password: PASSWORD });
  const hosts = await eventually("this machine online", ONLINE_MS, onlineHosts(browse));
  assert.deepEqual(hosts.map((host) => host.id), [hostId]);
  assert.equal(await stop(child, "SIGINT"), 0);
});
